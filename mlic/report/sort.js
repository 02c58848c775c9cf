"use strict";
(() => {
  const valueOf = (cell) => cell.dataset.value ?? cell.textContent.trim();

  // What is no number ("n/a") comes last in a column of numbers, whichever way it is sorted.
  const order = (numeric, sign) => (one, other) => {
    if (!numeric) return sign * one.value.localeCompare(other.value);
    const [a, b] = [Number(one.value), Number(other.value)];
    return Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b) : sign * (a - b);
  };

  const sort = (table, head) => {
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, value: valueOf(row.cells[head.cellIndex]) }));
    rows.sort(order(head.classList.contains("number"), sign));
    body.append(...rows.map(({ row }) => row));
    for (const each of table.tHead.rows[0].cells) each.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head));
      head.append(button);
      head.setAttribute("aria-sort", "none");
    }
  }

  const box = document.getElementById("filter");
  box?.addEventListener("input", () => {
    const words = box.value.trim().toLowerCase();
    let shown = 0;
    for (const one of document.querySelectorAll("[data-class]")) {
      one.hidden = !one.dataset.class.toLowerCase().includes(words);
      if (one.tagName === "TR" && !one.hidden) shown += 1;
    }
    document.getElementById("filtered").textContent = words ? `${shown} shown` : "";
  });

  const open = () => {
    const part = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (part instanceof HTMLDetailsElement) part.open = true;
  };
  addEventListener("hashchange", open);
  open();

  // A picture that is shown again is in the page once.
  for (const image of document.querySelectorAll("img[data-same]")) {
    image.src = document.getElementById(image.dataset.same).src;
  }
})();
