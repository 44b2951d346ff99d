"""Compares the losses of two results folders, curves and validation, and fails where one differs by LIMIT or more.

usage: compare-losses.py FOLDER FOLDER LIMIT    in nats; 0 asks for the same losses
"""

import csv
import sys


def losses(folder, table, column):
    with open(f"{folder}/{table}") as file:
        # A run that diverged has none.
        return [float(row[column] or "nan") for row in csv.DictReader(file)]


def main():
    first, second, limit = sys.argv[1], sys.argv[2], float(sys.argv[3])
    differences = []
    for table, column in (("curves.csv", "train_loss"), ("runs.csv", "val_loss")):
        a, b = (losses(folder, table, column) for folder in (first, second))
        assert a and len(a) == len(b), f"{table}: {len(a)} and {len(b)} losses"
        differences += [0.0 if x != x and y != y else abs(x - y) for x, y in zip(a, b)]
    print(f"{first} and {second}: largest difference of a loss {max(differences):.1e} nats")
    # Each by itself: what is not a number is below no limit, but may not be the largest either.
    sys.exit(not all(difference < limit or difference == limit == 0 for difference in differences))


main()
