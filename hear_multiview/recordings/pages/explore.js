// The map of a table of embeddings, drawn by plotly, and the recordings to listen to. Nothing but sounds is loaded.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("explore-data").textContent);
  const views = Object.keys(data.views);
  // Okabe and Ito's colours, which colour-blind people tell apart; with the symbols, 24 groups stay distinct.
  const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#444444"];
  const SYMBOLS = ["circle", "diamond", "triangle-up"];
  const UNKNOWN = "#bbbbbb";
  const MOST_FOUND = 20;
  const map = document.getElementById("map");
  const get = (id) => document.getElementById(id);
  const chosen = (name) => document.querySelector(`input[name=${name}]:checked`).value;
  let selected = 0;

  /** An element with attributes and children; text is text, never HTML. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  /** Text for plotly, which would take `<b>` in a name for markup. */
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const file = (row) => data.files[data.rows[row][0]];
  const stretch = (row) => (data.whole ? "" : `${data.rows[row][1].toFixed(2)}–${data.rows[row][2].toFixed(2)} s`);
  const label = (row) => `${file(row)[0]} ${stretch(row)}`.trim();

  // -- the map --------------------------------------------------------------------------------------------------------
  // A machine without a graphics processor may have no WebGL; plotly's SVG draws the same, only slower.
  const KIND = document.createElement("canvas").getContext("webgl") ? "scattergl" : "scatter";
  const SIZE = data.rows.length < 500 ? 9 : data.rows.length < 3000 ? 7 : 5;
  const narrow = () => map.clientWidth < 700;

  const view = () => data.views[chosen("view")];
  const grouping = () => view().groupings.find((groups) => groups.name === chosen("colour"));
  function look(groups, k) {
    if (groups.colours) return { color: groups.colours[k] ?? UNKNOWN, symbol: "circle" };
    return { color: COLOURS[k % COLOURS.length], symbol: SYMBOLS[Math.floor(k / COLOURS.length) % SYMBOLS.length] };
  }
  function traces(shown, groups) {
    const rows = groups.labels.map(() => []);
    groups.of.forEach((group, row) => rows[group].push(row));
    return groups.labels.map((name, k) => ({
      type: KIND, mode: "markers", name: `${escaped(name)} (${rows[k].length})`, hoverinfo: "text", customdata: rows[k],
      x: rows[k].map((row) => shown.points[row][0]), y: rows[k].map((row) => shown.points[row][1]),
      text: rows[k].map((row) => escaped(label(row))), marker: { ...look(groups, k), size: SIZE, opacity: 0.85 },
    })).filter((trace) => trace.x.length);
  }
  /** A ring around the chosen row, and lines to its neighbours. */
  function marks() {
    const { points, neighbours } = view();
    const [x, y] = points[selected];
    const line = { color: "#1b1f24", width: 1.5 };
    const ring = { type: "circle", xsizemode: "pixel", ysizemode: "pixel", xanchor: x, yanchor: y,
      x0: -9, x1: 9, y0: -9, y1: 9, line: { ...line, width: 2.5 } };
    return [ring, ...neighbours[selected].map((other) => ({ type: "line", x0: x, y0: y, x1: points[other][0],
      y1: points[other][1], line: { ...line, dash: "dot" } }))];
  }
  async function draw() {
    const shown = view(), groups = grouping();
    const axis = { visible: false, range: [-0.03, 1.03] };
    const flat = narrow();
    await Plotly.react(map, traces(shown, groups), {
      margin: { l: 0, r: 0, t: 0, b: 0 }, xaxis: axis, yaxis: axis, dragmode: "pan", hovermode: "closest",
      hoverlabel: { align: "left", namelength: -1 }, showlegend: true, shapes: marks(), uirevision: chosen("view"),
      legend: { itemsizing: "constant", uirevision: `${chosen("view")} ${groups.name}`,
        ...(flat ? { orientation: "h", x: 0, y: 0, yanchor: "top" } : { y: 0.95 }) },
    }, { scrollZoom: true, responsive: true, displaylogo: false,
      modeBarButtons: [["pan2d", "zoom2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]] });
    get("how").textContent = `The map: ${shown.how}, on standardised dimensions. Dotted lines lead to the nearest ` +
      "neighbours in the embedding itself, which the map cannot always keep near.";
  }

  // -- what is heard --------------------------------------------------------------------------------------------------
  function nameButton(row) {
    const button = make("button", { type: "button", class: "name" }, file(row)[0]);
    button.addEventListener("click", () => select(row));
    return button;
  }
  function sound(row, preload) {
    const [, start, end] = data.rows[row];
    const audio = make("audio", { controls: "", preload, src: file(row)[1] + (data.whole ? "" : `#t=${start},${end}`),
      "aria-label": `Sound of ${label(row)}` });
    audio.addEventListener("error", () => audio.replaceWith(make("p", { class: "facts" },
      "This browser cannot play the recording, or it is not there any more.")));
    return audio;
  }
  function entry(row, preload, ...facts) {
    return [nameButton(row), make("div", { class: "facts" }, [...facts, stretch(row)].filter(Boolean).join(" · ")),
      sound(row, preload)];
  }
  function listen() {
    const { neighbours, similarities, groupings } = view();
    const facts = groupings.map((groups) => groups.labels[groups.of[selected]]).join(" · ");
    get("chosen").replaceChildren(make("div", { class: "card", "data-row": selected }, make("strong", {}, file(selected)[0]),
      make("div", { class: "facts" }, [stretch(selected), facts].filter(Boolean).join(" · ")), sound(selected, "metadata")));
    get("neighbours").replaceChildren(...neighbours[selected].map((row, k) => make("li", { class: "card", "data-row": row },
      ...entry(row, "metadata", `similarity ${similarities[selected][k].toFixed(3)}`))));
  }
  function listTypical() {
    const groups = grouping();
    get("typical").replaceChildren(...groups.labels.flatMap((name, k) => (groups.typical[k].length ? [make("div",
      { class: "card" }, make("h3", {}, name), ...groups.typical[k].map((row) => make("div", { class: "row" },
        ...entry(row, "none"))))] : [])));
  }
  function find() {
    const wanted = get("find").value.trim().toLowerCase();
    const rows = [];
    for (let row = 0; wanted && row < data.rows.length && rows.length <= MOST_FOUND; row++) {
      if (label(row).toLowerCase().includes(wanted)) rows.push(row);
    }
    const items = rows.slice(0, MOST_FOUND).map((row) => make("li", {}, nameButton(row), ` ${stretch(row)}`));
    if (rows.length > MOST_FOUND) items.push(make("li", { class: "facts" }, "and more; type more of the name"));
    if (wanted && !rows.length) items.push(make("li", { class: "facts" }, "none"));
    get("found").replaceChildren(...items);
  }
  function select(row) {
    selected = row;
    listen();
    Plotly.relayout(map, { shapes: marks() });
    document.querySelector("#chosen audio").play().catch(() => {}); // the element itself tells what is wrong
  }

  // -- set-up ---------------------------------------------------------------------------------------------------------
  function choices(name, title, labels) {
    const box = make("fieldset", {}, make("legend", {}, title), ...labels.flatMap(([value, text], k) => [
      make("label", {}, make("input", { type: "radio", name, value, ...(k ? {} : { checked: "" }) }), ` ${text}`), " "]));
    box.hidden = labels.length < 2;
    get("switches").append(box);
  }
  choices("view", "View", views.map((name) => [name, name]));
  choices("colour", "Colour by", data.views[views[0]].groupings.map((groups) => [groups.name, groups.name]));
  get("switches").addEventListener("change", () => { draw(); listen(); listTypical(); });
  get("find").addEventListener("input", find);
  let flat = narrow();
  window.addEventListener("resize", () => { if (flat !== narrow()) { flat = narrow(); draw(); } });
  draw().then(() => map.on("plotly_click", (event) => select(event.points[0].customdata)));
  listen();
  listTypical();
})();
