"use strict";
(() => {
  const NUMBER = /^[<>]?\s*([+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)%?(?=$|[\s[*(])/;
  const UNKNOWN = new Set(["", "-", "–"]);
  const text = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();

  // A column of numbers is sorted by them (the value before an interval), any other by its words.
  function sorted(rows, column, sign) {
    const known = rows.filter((row) => !UNKNOWN.has(text(row, column)));
    const unknown = rows.filter((row) => UNKNOWN.has(text(row, column)));
    const numbers = new Map(known.map((row) => [row, NUMBER.exec(text(row, column))]));
    const numeric = known.every((row) => numbers.get(row));
    const value = (row) => parseFloat(numbers.get(row)[1].replaceAll(",", ""));
    const order = numeric
      ? (a, b) => value(a) - value(b)
      : (a, b) => text(a, column).localeCompare(text(b, column), "en", { numeric: true });
    return [...known.sort((a, b) => sign * order(a, b)), ...unknown];
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    const original = [...body.rows];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "" }[head.getAttribute("aria-sort")] ?? "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (next) head.setAttribute("aria-sort", next);
        body.append(...(next ? sorted([...original], column, next === "ascending" ? 1 : -1) : original));
      });
    });
  }

  // Only what scrolls is a stop for the tab key.
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth + 1) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });

  const scrolling = (box) => watch.observe(box);

  // The long CSV, unpacked from the page itself, with a filter: words that a row must all hold.
  function browser(link) {
    const LIMIT = 200;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "more";
    button.textContent = "Look numbers up here";
    link.parentElement.append(document.createElement("br"), button);
    button.addEventListener("click", async () => {
      button.remove();
      const packed = Uint8Array.from(atob(link.href.split(",")[1]), (character) => character.charCodeAt(0));
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      const lines = (await new Response(stream).text()).trimEnd().split("\n").map(cells);
      const box = document.createElement("div");
      box.className = "rows";
      const label = document.createElement("label");
      label.textContent = "Rows that hold all these words ";
      const input = document.createElement("input");
      input.type = "search";
      label.append(input);
      const status = document.createElement("p");
      status.setAttribute("role", "status");
      const scroll = document.createElement("div");
      scroll.className = "scroll";
      const table = document.createElement("table");
      const caption = table.createCaption();
      caption.textContent = link.download.replace(".gz", "");
      const head = table.createTHead().insertRow();
      for (const name of lines[0]) {
        const cell = document.createElement("th");
        cell.scope = "col";
        cell.textContent = name;
        head.append(cell);
      }
      const body = table.createTBody();
      scroll.append(table);
      box.append(label, status, scroll);
      link.parentElement.append(box);
      const show = () => {
        const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
        const found = lines.slice(1).filter((line) => {
          const own = line.map((cell) => cell.toLowerCase());
          return words.every((word) => own.some((cell) => cell === word || (word.length > 2 && cell.includes(word))));
        });
        status.textContent = `${found.length} rows` + (found.length > LIMIT ? `, the first ${LIMIT} shown` : "");
        body.replaceChildren(
          ...found.slice(0, LIMIT).map((line) => {
            const row = document.createElement("tr");
            for (const cell of line) row.insertCell().textContent = cell;
            return row;
          }),
        );
      };
      input.addEventListener("input", show);
      show();
      scrolling(scroll);
      input.focus();
    });
  }

  // One line of CSV as Python's csv module writes it.
  function cells(line) {
    return [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)]
      .slice(0, line.endsWith(",") ? undefined : -1)
      .map(([, cell]) => (cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell));
  }

  // Paper unfolds nothing.
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));

  document.querySelectorAll("table.sortable, table.claims").forEach(sortable);
  document.querySelectorAll(".scroll").forEach(scrolling);
  if ("DecompressionStream" in window) document.querySelectorAll("a.packed").forEach(browser);
})();
