// What a test looks at in a real browser. It leaves what it found in #found, as
// JSON: facts that the test compares, and complaints.
(() => {
  const found = { wrong: [] };
  const want = (ok, text) => { if (!ok) found.wrong.push(text); };
  try {
    const seen = (e) => { const b = e.getBoundingClientRect(); return b.width > 0 && b.height > 0; };
    found.width = document.documentElement.scrollWidth;
    found.inner = window.innerWidth;
    found.background = getComputedStyle(document.body).backgroundColor;
    found.ink = getComputedStyle(document.body).color;
    found.figures = [...document.querySelectorAll("figure")].map((f) => f.id);
    found.settings = [...document.querySelectorAll(".legend button")].map((b) => b.textContent);
    for (const f of document.querySelectorAll("figure")) {
      const svg = f.querySelector("svg"), box = svg.getBoundingClientRect();
      want(box.width > 150 && box.height > 60, f.id + " is " + box.width + " × " + box.height);
      want(svg.querySelectorAll("text").length > 3, f.id + " has no labels");
      for (const t of svg.querySelectorAll("text")) {
        const b = t.getBoundingClientRect();
        want(b.left >= box.left - 2 && b.right <= box.right + 2 && b.top >= box.top - 2 && b.bottom <= box.bottom + 2, f.id + ": label " + t.textContent + " is cut off");
      }
      const paths = [...svg.querySelectorAll("path")];
      want(paths.length > 0, f.id + " is empty");
      for (const p of paths) {
        const c = getComputedStyle(p);
        want(c.fill !== "none" || c.stroke !== "none" || p.getAttribute("class") === "cross", f.id + ": a path without colour: " + p.outerHTML.slice(0, 200));
      }
    }
    for (const id of ["chart-loss-time", "chart-loss-clocks", "chart-staleness", "chart-bytes-time"]) {
      const svg = document.querySelector("#" + id + " svg"), box = svg.getBoundingClientRect();
      const colours = new Set();
      found.settings.forEach((name, i) => {
        const lines = [...svg.querySelectorAll(".stroke-line.s" + i)].filter(seen);
        want(lines.length > 0, id + " draws no line of " + name);
        for (const l of lines) {
          colours.add(getComputedStyle(l).stroke);
          const b = l.getBoundingClientRect();
          want(b.left >= box.left - 1 && b.right <= box.right + 1, id + ": the line of " + name + " leaves its picture");
        }
      });
      want(colours.size === found.settings.length, id + ": " + colours.size + " colours");
    }
    want(document.querySelectorAll("#chart-loss-time .fill-band").length === found.settings.length, "no bands of the repeats");
    for (const kind of [1, 2, 3, 4, 5]) {
      want([...document.querySelectorAll("[id^=chart-split] .fill-part.k" + kind)].some(seen), "no bar of part " + kind);
    }
    want([...document.querySelectorAll("[id^=chart-slow] .fill-part.k3")].some(seen), "no wait on the timelines");
    want([...document.querySelectorAll("[id^=chart-slow] .fill-mark")].some((e) => /^\d+$/.test(e.textContent)), "nobody is waited for on the timelines");

    // A setting hides everywhere and comes back.
    const button = document.querySelectorAll(".legend button")[1];
    const line = document.querySelector("#chart-loss-time .stroke-line.s1");
    const row = [...document.querySelectorAll("#table-settings tbody tr")].find((tr) => tr.cells[0].textContent === button.textContent);
    button.click();
    want(!seen(line) && !seen(row) && button.getAttribute("aria-pressed") === "false", "hiding a setting does not");
    button.click();
    want(seen(line) && seen(row), "a hidden setting does not come back");

    // Values under the pointer.
    const chart = JSON.parse(document.getElementById("data").textContent)["loss-time"];
    const figure = document.getElementById("chart-loss-time"), svg = figure.querySelector("svg"), box = svg.getBoundingClientRect();
    const l = chart.lines[0], i = Math.floor(l.x.length / 2), scale = box.width / svg.viewBox.baseVal.width;
    const x = chart.px[0] + (l.x[i] - chart.data[0]) / (chart.data[1] - chart.data[0]) * (chart.px[1] - chart.px[0]);
    svg.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + x * scale, clientY: box.top + box.height / 2, bubbles: true }));
    const tip = figure.querySelector(".tip");
    want(seen(tip), "no values under the pointer");
    found.tip = tip.textContent;
    found.tipWants = [l.n, String(parseFloat(l.x[i].toPrecision(5)))];
    svg.dispatchEvent(new PointerEvent("pointerleave"));
    want(!seen(tip), "the values stay when the pointer has gone");
    // The pixel where the script thinks the point lies is where the curve is drawn.
    const path = document.querySelector("#chart-loss-time .stroke-line.s0"), at = path.getTotalLength();
    let near = Infinity;
    const y = chart.px[2] + (l.y[i] - chart.data[2]) / (chart.data[3] - chart.data[2]) * (chart.px[3] - chart.px[2]);
    for (let k = 0; k <= 2000; k++) {
      const p = path.getPointAtLength(at * k / 2000).matrixTransform(path.getScreenCTM());
      near = Math.min(near, Math.hypot(p.x - (box.left + x * scale), p.y - (box.top + y * scale)));
    }
    want(near < 3, "the curve lies " + near + " pixels from where its values say");

    // Tables sort by value.
    const table = document.querySelector("#table-settings table"), heads = [...table.tHead.rows[0].cells];
    const column = heads.findIndex((h) => h.dataset.key === "seconds");
    const values = () => [...table.tBodies[0].rows].map((r) => parseFloat(r.cells[column].dataset.v));
    heads[column].click();
    want(values().every((v, i, a) => i === 0 || a[i - 1] <= v), "not in order: " + values());
    heads[column].click();
    want(values().every((v, i, a) => i === 0 || a[i - 1] >= v), "not in falling order: " + values());
    want(new Set(values()).size === values().length, "nothing to sort");

    // Numbers and their CSV.
    const link = document.querySelector("#table-settings a.csv");
    found.csv = atob(link.href.split(",")[1]).split("\n")[0];
    document.querySelectorAll("details").forEach((d) => { d.open = true; want(seen(d.querySelector("td")), d.id + " opens to nothing"); });
  } catch (e) {
    found.wrong.push(String(e.stack || e));
  }
  const pre = document.createElement("pre");
  pre.id = "found";
  pre.textContent = JSON.stringify(found);
  document.body.append(pre);
})();
