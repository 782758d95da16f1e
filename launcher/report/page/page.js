// What interaction adds to a page that is complete without it: values under the
// pointer, settings to hide, tables to sort, and on a live page its updates.
"use strict";
(() => {
  const hidden = new Set(), sorts = {};
  let charts = {};

  // Settings to hide.
  const apply = () => {
    document.querySelectorAll(".legend button").forEach((b) => b.setAttribute("aria-pressed", String(!hidden.has(b.dataset.s))));
    document.querySelectorAll("main [data-of]").forEach((e) => { e.hidden = hidden.has(e.dataset.of); });
    document.querySelectorAll("figure > svg [class*=' s'], figure > svg [class*=' s']").forEach((e) => {
      const m = / s(\d+)/.exec(e.getAttribute("class"));
      if (m) e.style.display = hidden.has(m[1]) ? "none" : "";
    });
  };

  // Tables to sort: by exact values, unknown ones last.
  const sort = (table, column, down) => {
    const body = table.tBodies[0];
    const key = (tr) => {
      const td = tr.cells[column];
      if (td.classList.contains("text")) return td.textContent;
      return td.dataset.v === "" ? NaN : parseFloat(td.dataset.v.replace("Inf", "Infinity"));
    };
    const rows = [...body.rows].map((tr, i) => [key(tr), i, tr]);
    rows.sort(([a, i], [b, j]) => {
      if (typeof a === "string") return (down ? -1 : 1) * a.localeCompare(b, undefined, { numeric: true }) || i - j;
      if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b) || i - j;
      return (down ? b - a : a - b) || i - j;
    });
    rows.forEach(([, , tr]) => body.append(tr));
    [...table.tHead.rows[0].cells].forEach((th, i) => th.setAttribute("aria-sort", i === column ? (down ? "descending" : "ascending") : "none"));
  };
  const tables = () => {
    document.querySelectorAll(".table").forEach((div) => {
      const table = div.querySelector("table");
      [...table.tHead.rows[0].cells].forEach((th, i) => {
        th.setAttribute("role", "button");
        th.tabIndex = 0;
        const turn = () => {
          const down = th.getAttribute("aria-sort") === "ascending";
          sorts[div.id] = [i, down];
          sort(table, i, down);
        };
        th.addEventListener("click", turn);
        th.addEventListener("keydown", (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); turn(); } });
      });
      if (sorts[div.id]) sort(table, ...sorts[div.id]);
    });
  };

  // Values under the pointer.
  const short = (v) => Math.abs(v) >= 1e5 || (v !== 0 && Math.abs(v) < 1e-3) ? v.toExponential(3) : String(parseFloat(v.toPrecision(5)));
  const line = (tip, name, value) => {
    const p = document.createElement("div"), b = document.createElement("b");
    b.textContent = name;
    p.append(b, value === "" ? "" : " " + value);
    tip.append(p);
  };
  const hover = (figure) => {
    const chart = charts[figure.id.replace("chart-", "")], svg = figure.querySelector("svg");
    if (!chart || !svg) return;
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    figure.append(tip);
    const cross = document.createElementNS("http://www.w3.org/2000/svg", "path");
    cross.setAttribute("class", "cross");
    svg.append(cross);
    const [left, right, bottom, top] = chart.px, [x0, x1, y0, y1] = chart.data;
    const off = () => { tip.hidden = true; cross.setAttribute("d", ""); };
    svg.addEventListener("pointerleave", off);
    svg.addEventListener("pointermove", (e) => {
      const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
      const px = (e.clientX - box.left) * scale, py = (e.clientY - box.top) * scale;
      const x = x0 + (px - left) / (right - left) * (x1 - x0), y = y0 + (py - bottom) / (top - bottom) * (y1 - y0);
      tip.replaceChildren();
      if (px < left - 8 || px > right + 8) return off();
      if (chart.boxes) {
        const hit = chart.boxes.find((b) => x >= b[0] && x <= b[1] && y >= b[2] && y <= b[3]);
        if (!hit) return off();
        hit[4].split("\n").forEach((t, i) => line(tip, i ? "" : t, i ? t : ""));
      } else {
        let best = null;
        for (const l of chart.lines) {
          if (hidden.has(String(l.s))) continue;
          for (const v of l.x) if (best === null || Math.abs(v - x) < Math.abs(best - x)) best = v;
        }
        if (best === null) return off();
        line(tip, chart.x + ":", short(best));
        for (const l of chart.lines) {
          if (hidden.has(String(l.s))) continue;
          const v = at(l, best);
          if (v !== null) line(tip, l.n, short(v[0]) + (v[1] !== v[2] ? " (" + short(v[1]) + "–" + short(v[2]) + ")" : ""));
        }
        const cx = left + (best - x0) / (x1 - x0) * (right - left);
        cross.setAttribute("d", `M${cx},${bottom}V${top}`);
      }
      tip.hidden = false;
      const at0 = e.clientX - figure.getBoundingClientRect().left;
      const room = figure.clientWidth - tip.offsetWidth - 4;
      tip.style.left = Math.max(0, Math.min(room, at0 + 14)) + "px";
      tip.style.top = e.clientY - figure.getBoundingClientRect().top + 16 + "px";
    });
  };
  // at is a line's median, least and largest at x; null outside of it.
  const at = (l, x) => {
    const n = l.x.length;
    if (!n || x < l.x[0] || x > l.x[n - 1]) return null;
    let i = l.x.findIndex((v) => v >= x);
    if (l.x[i] === x || i === 0) return [l.y[i], l.lo ? l.lo[i] : l.y[i], l.hi ? l.hi[i] : l.y[i]];
    const f = (x - l.x[i - 1]) / (l.x[i] - l.x[i - 1]), mix = (a) => a[i - 1] + f * (a[i] - a[i - 1]);
    return [mix(l.y), mix(l.lo || l.y), mix(l.hi || l.y)];
  };

  const start = () => {
    charts = JSON.parse(document.getElementById("data").textContent);
    document.querySelectorAll(".legend button").forEach((b) => b.addEventListener("click", () => {
      hidden.has(b.dataset.s) ? hidden.delete(b.dataset.s) : hidden.add(b.dataset.s);
      apply();
    }));
    tables();
    document.querySelectorAll("figure").forEach(hover);
    apply();
  };
  start();

  // A live page asks for its next state; what it shows stays when nobody answers.
  if (!document.body.dataset.live) return;
  let version = document.body.dataset.live, failed = 0;
  const say = (kind, text) => {
    let p = document.querySelector(".status");
    if (!p) { p = document.createElement("p"); document.querySelector("header").append(p); }
    p.className = "status " + kind;
    p.textContent = text;
  };
  const update = async () => {
    try {
      const answer = await fetch("?after=" + encodeURIComponent(version), { cache: "no-store" });
      if (answer.status === 200) {
        const next = new DOMParser().parseFromString(await answer.text(), "text/html");
        const open = [...document.querySelectorAll("details[open]")].map((d) => d.id);
        const scrolled = [...document.querySelectorAll(".scroll")].map((d) => [d.closest(".table").id, d.scrollLeft, d.scrollTop]);
        document.getElementById("report").replaceWith(next.getElementById("report"));
        document.getElementById("data").textContent = next.getElementById("data").textContent;
        document.title = next.title;
        version = next.body.dataset.live;
        open.forEach((id) => { const d = document.getElementById(id); if (d) d.open = true; });
        start();
        scrolled.forEach(([id, x, y]) => { const d = document.querySelector("#" + id + " .scroll"); if (d) d.scrollTo(x, y); });
      }
      failed = 0;
      if (version === "end") return say("over", document.querySelector(".status").textContent + " This page stays as it is.");
    } catch {
      if (++failed === 5) {
        return say("lost", "The launcher does not answer any more: the job has ended, or the connection is cut. This is what was seen last.");
      }
    }
    setTimeout(update, 1000);
  };
  setTimeout(update, 1000);
})();
