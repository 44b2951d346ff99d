//! As much of the Protocol Buffers wire format as event files need (its description:
//! <https://protobuf.dev/programming-guides/encoding/>). Fields at their default are written all the same, which readers
//! take.

/// A message being written.
#[derive(Clone, Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The encoded message.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }

    /// A field of type int32, int64, bool or enum.
    #[must_use]
    pub fn integer(mut self, field: u32, value: i64) -> Self {
        self.key(field, 0);
        self.varint(value.cast_unsigned());
        self
    }

    /// A field of type double.
    #[must_use]
    pub fn double(mut self, field: u32, value: f64) -> Self {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A field of type float.
    #[must_use]
    pub fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A field of type string or bytes.
    #[must_use]
    pub fn text(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// A field that is a message.
    #[must_use]
    pub fn message(self, field: u32, value: &Self) -> Self {
        self.text(field, &value.0)
    }

    fn key(&mut self, field: u32, wire: u32) {
        self.varint(u64::from(field << 3 | wire));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_the_description_of_the_format_shows_them() {
        // Its own examples: 150 in field 1, "testing" in field 2, and the first as a message in field 3.
        let first = Message::new().integer(1, 150);
        assert_eq!(first.clone().bytes(), [0x08, 0x96, 0x01]);
        let testing = [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67];
        assert_eq!(Message::new().text(2, b"testing").bytes(), testing);
        assert_eq!(Message::new().message(3, &first).bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::new().integer(1, -1).bytes().len(), 11, "negative numbers take ten bytes");
    }
}
