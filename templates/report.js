// What the page does beyond showing: values under the pointer, axes the other way, budgets hidden, runs sorted and
// filtered. Its state is in the address (#hide=...&sort=...), so that a link keeps it and a newer page too.
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const state = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  const remember = (key, value) => {
    if (value) state.set(key, value); else state.delete(key);
    history.replaceState(null, "", "#" + state);
  };
  const list = key => new Set((state.get(key) || "").split("|").filter(Boolean));
  document.body.classList.add("scripted");

  // On a phone a row becomes a block, whose cells tell their column. The table of runs shows fewer columns instead.
  for (const small of all(".scroll table:not(#run-table)")) {
    const names = small.tHead ? all("th", small.tHead).map(head => head.textContent) : [];
    for (const row of small.tBodies[0].rows) {
      [...row.cells].forEach((cell, i) => { if (names[i]) cell.dataset.label = names[i]; });
    }
    small.classList.add("stacked");
  }

  // Axes the other way.
  const switched = list("switch");
  for (const box of all(".switch")) {
    const figure = box.closest("figure");
    const show = () => figure.classList.toggle("is-switched", box.checked);
    box.checked = switched.has(box.dataset.figure);
    show();
    box.addEventListener("change", () => {
      switched[box.checked ? "add" : "delete"](box.dataset.figure);
      remember("switch", [...switched].join("|"));
      show();
    });
  }

  // Budgets, or widths, in all figures at once.
  const hidden = list("hide");
  const members = all("[data-group]");
  const groups = [...new Set(members.map(node => node.dataset.group))];
  const showGroups = () => {
    for (const node of members) node.classList.toggle("off", hidden.has(node.dataset.group));
  };
  const field = document.getElementById("groups");
  field.hidden = groups.length < 2;
  for (const group of groups) {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: !hidden.has(group) });
    const label = Object.assign(document.createElement("label"), { className: "control" });
    label.append(box, " " + group);
    field.append(label, " ");
    box.addEventListener("change", () => {
      hidden[box.checked ? "delete" : "add"](group);
      remember("hide", [...hidden].join("|"));
      showGroups();
    });
  }
  showGroups();

  // Values under the pointer: the nearest point or vertex within reach.
  const tip = document.getElementById("tip");
  for (const title of all("svg.chart title")) {
    // The browser's own tip would come on top.
    title.parentNode.setAttribute("data-title", title.textContent);
    title.remove();
  }
  const number = x => {
    const size = Math.abs(x);
    const step = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]].find(([unit]) => size >= unit);
    if (size >= 1e15 || (size < 1e-3 && size > 0)) return x.toExponential(2);
    return step ? Number((x / step[0]).toPrecision(3)) + step[1] : String(Number(x.toPrecision(4)));
  };
  const read = (ruler, place) => {
    const [kind, low, high, first, last] = ruler.split(" ").map((part, i) => i ? Number(part) : part);
    const x = low + (high - low) * (place - first) / (last - first);
    return kind === "log" ? 10 ** x : x;
  };
  const targets = plot => {
    if (plot.targets) return plot.targets;
    const found = [];
    for (const dot of all("[data-x]", plot)) {
      const box = dot.getBBox();
      found.push({ node: dot, x: box.x + box.width / 2, y: box.y + box.height / 2, text: dot.dataset.title, bonus: 4 });
    }
    for (const line of all("path.line", plot)) {
      const label = line.parentNode.dataset.series;
      const vertices = (line.getAttribute("d").match(/-?[\d.]+ -?[\d.]+/g) || []).map(pair => pair.split(" ").map(Number));
      for (const [x, y] of vertices) {
        const at = `${number(read(plot.dataset.xRuler, x))}, ${number(read(plot.dataset.yRuler, y))}`;
        found.push({ node: line, x, y, text: `${label}: ${at}`, bonus: 0 });
      }
    }
    return plot.targets = found;
  };
  const point = event => {
    const plot = event.target.closest && event.target.closest("svg.plot");
    tip.hidden = true;
    if (!plot) return;
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
    let best = null;
    let reach = 26;
    for (const target of targets(plot)) {
      if (target.node.closest(".off")) continue;
      const distance = Math.hypot(target.x - at.x, target.y - at.y) - target.bonus;
      if (distance < reach) [best, reach] = [target, distance];
    }
    if (!best) return;
    tip.textContent = best.text;
    tip.hidden = false;
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const top = event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 12 : event.clientY + 18;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = top + "px";
  };
  addEventListener("pointermove", point);
  addEventListener("pointerdown", point);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  // The table of runs.
  const table = document.getElementById("run-table");
  if (table) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const names = heads.map(head => head.textContent);
    const value = cell => cell.dataset.v ?? cell.textContent;
    const compare = (a, b) => {
      // Empty cells come last, numbers before words.
      if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1);
      const [x, y] = [Number(a), Number(b)];
      if (isNaN(x) || isNaN(y)) return isNaN(x) && isNaN(y) ? a.localeCompare(b) : isNaN(x) - isNaN(y);
      return x - y;
    };
    const sort = (column, down) => {
      heads.forEach((head, i) => {
        if (i === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      const order = rows.map((row, i) => [value(row.cells[column]), i, row]);
      order.sort((a, b) => (a[0] && b[0] && down ? -1 : 1) * compare(a[0], b[0]) || a[1] - b[1]);
      body.append(...order.map(entry => entry[2]));
    };
    heads.forEach((head, i) => {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        remember("sort", (down ? "-" : "") + names[i]);
        sort(i, down);
      });
    });
    // Each word must be in the row; width>32 compares the column of that name.
    const test = word => {
      const parts = /^([^<>=]+)(<=|>=|<|>|=)(.+)$/.exec(word);
      const column = parts ? names.indexOf(parts[1]) : -1;
      if (column < 0) return row => [...row.cells].some(cell => (cell.textContent + " " + value(cell)).toLowerCase().includes(word.toLowerCase()));
      const [, , sign, wanted] = parts;
      return row => {
        const found = value(row.cells[column]);
        if (sign === "=") return found === wanted || (found !== "" && Number(found) === Number(wanted));
        if (found === "" || isNaN(found) || isNaN(wanted)) return false;
        const difference = Number(found) - Number(wanted);
        return sign.includes("=") && difference === 0 || (sign[0] === "<" ? difference < 0 : difference > 0);
      };
    };
    const filter = document.getElementById("filter");
    const shown = document.getElementById("shown");
    const show = () => {
      const tests = filter.value.split(/\s+/).filter(Boolean).map(test);
      let count = 0;
      for (const row of rows) {
        row.hidden = !tests.every(one => one(row));
        if (!row.hidden) count += 1;
      }
      shown.textContent = `${count} of ${rows.length} runs`;
    };
    filter.value = state.get("filter") || "";
    filter.addEventListener("input", () => { remember("filter", filter.value); show(); });
    show();
    const sorted = state.get("sort") || "";
    const down = sorted.startsWith("-");
    const column = names.indexOf(down ? sorted.slice(1) : sorted);
    if (column >= 0) sort(column, down);
    const columns = document.getElementById("all-columns");
    columns.checked = state.get("columns") === "all";
    columns.addEventListener("change", () => remember("columns", columns.checked ? "all" : ""));
  }

  // On paper nothing can be unfolded.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const part of folded) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of folded) part.open = false; });

  // A page of a running sweep looks for a newer one of itself.
  if ("live" in document.body.dataset) {
    let known = null;
    const look = async () => {
      try {
        const answer = await fetch(location.pathname, { method: "HEAD", cache: "no-store" });
        const tag = answer.headers.get("ETag");
        if (known && tag && tag !== known) location.reload();
        known = known || tag;
        document.querySelector(".progress").textContent = answer.headers.get("X-Progress") || "";
        document.body.classList.remove("lost");
      } catch {
        document.body.classList.add("lost");
      }
    };
    look();
    setInterval(look, 3000);
  }
})();
