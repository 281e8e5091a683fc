// The map and the listening panel of a gallery. Plain JavaScript; nothing is loaded.
"use strict";
(() => {
  const gallery = JSON.parse(document.getElementById("gallery-data").textContent);
  const views = Object.keys(gallery.views);
  const heard = new Map(gallery.panel.map((clip, place) => [clip, place])); // clips with sound: clip → place in the panel
  const WIDTH = 700, HEIGHT = 540, EDGE = 24;
  // Okabe and Ito's colours, which colour-blind people tell apart; with the shapes, 64 groups stay distinct.
  const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#444444"];
  const SHAPES = [
    "M6 0A6 6 0 1 1 -6 0A6 6 0 1 1 6 0Z", // circle
    "M-5 -5H5V5H-5Z", // square
    "M0 -7L6.5 5H-6.5Z", // triangle
    "M0 -7.5L6 0L0 7.5L-6 0Z", // diamond
    "M0 7L6.5 -5H-6.5Z", // triangle downwards
    "M-2.2 -6.5H2.2V-2.2H6.5V2.2H2.2V6.5H-2.2V2.2H-6.5V-2.2H-2.2Z", // plus
    "M0 -7.5L1.9 -2.5L7 -2.3L3 1L4.4 6L0 3.2L-4.4 6L-3 1L-7 -2.3L-1.9 -2.5Z", // star
    "M0 -7L6 -3.5V3.5L0 7L-6 3.5V-3.5Z", // hexagon
  ];
  const NONE = "no source labelled";
  const collator = new Intl.Collator("en", { numeric: true });

  const root = document.getElementById("gallery");
  root.innerHTML = `
    <section aria-labelledby=map-title>
      <h2 id=map-title>Embedding map</h2>
      <p>Each mark is a clip. Clips that lie close together are alike in that view; the distances between groups, and
      their directions, mean little. Click a mark to hear the clip below, or choose it there by keyboard. Click a group
      in the legend to see it alone.</p>
      <form class=switches>
        <fieldset id=views><legend>View</legend></fieldset>
        <fieldset><legend>Colour and shape by</legend>
          <label><input type=radio name=colour value=sensor checked> sensor</label>
          <label><input type=radio name=colour value=source> source</label></fieldset>
      </form>
      <div class=map>
        <svg id=map viewBox="0 0 ${WIDTH} ${HEIGHT}" role=img aria-label="Embedding map; each clip can be chosen by its
          name in the listening panel"><g id=links></g><g id=points></g></svg>
        <div class=legend id=legend role=group aria-label="Legend"></div>
      </div>
      <p class=note id=how></p>
    </section>
    <section aria-labelledby=panel-title>
      <h2 id=panel-title>Listening panel</h2>
      <p>A clip and its nearest neighbours in each half, by cosine similarity of the standardised embeddings. You hear
      the first ${gallery.seconds} seconds, in mono, at 16 kHz and −24 LUFS, compressed.</p>
      <div class=choice><label for=clip>Clip</label><select id=clip></select>
        <button type=button id=previous>Previous</button><button type=button id=next>Next</button></div>
      <div id=chosen aria-live=polite></div>
      <div class=sides id=sides></div>
    </section>`;
  const get = (id) => document.getElementById(id);
  const SVG = get("map").namespaceURI;

  /** An element with attributes and children; text is text, never HTML. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  function draw(tag, attributes, parent) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    parent.append(element);
    return element;
  }
  const chosen = (name) => document.querySelector(`input[name=${name}]:checked`).value;
  const sources = (clip) => clip.sources.join(", ") || NONE;
  const group = (clip, by) => (by === "sensor" ? clip.sensor : clip.sources[0] ?? NONE);
  let selected = gallery.panel[0];
  let alone = null; // the group that the legend shows alone

  function look(by) {
    const last = (name) => by === "source" && name === NONE;
    const names = [...new Set(gallery.clips.map((clip) => group(clip, by)))]
      .sort((a, b) => last(a) - last(b) || collator.compare(a, b));
    const styles = new Map(names.map((name, k) => [name, {
      fill: COLOURS[k % COLOURS.length],
      shape: SHAPES[(k + 3 * Math.floor(k / SHAPES.length)) % SHAPES.length],
    }]));
    if (by === "source" && styles.has(NONE)) styles.set(NONE, { fill: "#ffffff", shape: SHAPES[0] });
    return styles;
  }

  // -- the map ------------------------------------------------------------------------------------------------------
  const points = gallery.clips.map((clip, index) => {
    const kind = heard.has(index) ? "heard" : "silent";
    const point = draw("g", { class: `point ${kind}`, "data-clip": index }, get("points"));
    const silent = heard.has(index) ? "" : " (not in the listening panel)";
    draw("title", {}, point).textContent = `${clip.name}, sensor ${clip.sensor}: ${sources(clip)}${silent}`;
    draw("path", { class: "mark" }, point);
    if (heard.has(index)) point.addEventListener("click", () => select(index));
    return point;
  });
  function place(view, index) {
    const [x, y] = gallery.views[view][index];
    const size = Math.min(WIDTH, HEIGHT) - 2 * EDGE;
    // The long side of a map is 1; wide ones use the width.
    const wide = widen.get(view);
    return [WIDTH / 2 + (x - 0.5) * size * wide, HEIGHT / 2 - (y - 0.5) * size];
  }
  // Neither t-SNE nor this page gives the axes a meaning, so a map is stretched to fill the frame's width.
  const widen = new Map(views.map((view) => {
    const across = Math.max(...gallery.views[view].map(([x]) => Math.abs(x - 0.5))) * 2 || 1;
    return [view, (WIDTH - 2 * EDGE) / (HEIGHT - 2 * EDGE) / across];
  }));

  function drawMap() {
    const view = chosen("view"), by = chosen("colour");
    const styles = look(by);
    gallery.clips.forEach((clip, index) => {
      const [x, y] = place(view, index);
      const { fill, shape } = styles.get(group(clip, by));
      points[index].style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
      points[index].classList.toggle("dim", alone !== null && group(clip, by) !== alone);
      const mark = points[index].querySelector("path");
      mark.setAttribute("d", shape);
      mark.setAttribute("fill", fill);
    });
    drawLegend(styles, by);
    drawLinks(view);
    const several = by === "source" ? " A clip with several sources has the colour of the first." : "";
    const lines = view in gallery.neighbours ? " Dashed lines lead to the neighbours in the panel." : "";
    get("how").textContent = `${gallery.names[view]}: ${gallery.how[view]}, on standardised dimensions.${several}${lines}`;
  }
  function drawLinks(view) {
    get("links").replaceChildren();
    const [x, y] = place(view, selected);
    for (const [other] of gallery.neighbours[view]?.[heard.get(selected)] ?? []) {
      const [x2, y2] = place(view, other);
      draw("line", { class: "link", x1: x, y1: y, x2, y2 }, get("links"));
    }
    draw("circle", { class: "ring", cx: x, cy: y, r: 12 }, get("links"));
  }
  function drawLegend(styles, by) {
    const buttons = [...styles].map(([name, { fill, shape }]) => {
      const icon = document.createElementNS(SVG, "svg");
      for (const [key, value] of Object.entries({ width: 18, height: 18, viewBox: "-9 -9 18 18", "aria-hidden": true }))
        icon.setAttribute(key, value);
      draw("path", { class: "mark", d: shape, fill }, icon);
      const many = gallery.clips.filter((clip) => group(clip, by) === name).length;
      const button = make("button", { type: "button", "aria-pressed": alone === name }, icon,
        by === "sensor" ? `sensor ${name}` : name, make("span", { class: "many" }, `${many}`));
      button.addEventListener("click", () => {
        const place = buttons.indexOf(button);
        alone = alone === name ? null : name;
        drawMap();
        get("legend").children[place].focus();
      });
      return button;
    });
    get("legend").replaceChildren(...buttons);
  }

  // -- the listening panel ------------------------------------------------------------------------------------------
  /** A clip with its sound, made when it is shown; next to `to`, what the two have in common. */
  function card(index, to = null, value = null) {
    const clip = gallery.clips[index];
    const box = to === null ? make("div", { class: "clip chosen" }) : make("li", { class: "clip" });
    box.dataset.clip = index;
    if (to === null) {
      box.append(make("strong", {}, clip.name));
    } else {
      const name = make("button", { type: "button", class: "name" }, clip.name);
      name.addEventListener("click", () => { select(index); get("clip").focus(); });
      box.append(name);
    }
    if (value !== null) box.prepend(make("span", { class: "value" }, `similarity ${value.toFixed(2)}`));
    box.append(make("div", { class: "facts" }, `sensor ${clip.sensor} · ${sources(clip)}`));
    if (to !== null) {
      const common = clip.sources.filter((source) => gallery.clips[to].sources.includes(source));
      if (clip.sensor === gallery.clips[to].sensor) box.append(make("span", { class: "badge sensor" }, "same sensor"));
      if (common.length) box.append(make("span", { class: "badge source" }, `same source: ${common.join(", ")}`));
    }
    box.append(make("audio", { controls: "", preload: "metadata", src: gallery.audio[heard.get(index)],
      "aria-label": `Sound of ${clip.name}` }));
    return box;
  }
  function select(index) {
    selected = index;
    get("clip").value = index;
    get("chosen").replaceChildren(card(index));
    get("sides").replaceChildren(...Object.entries(gallery.neighbours).map(([view, lists]) =>
      make("section", { "data-view": view }, make("h3", {}, `Nearest in ${gallery.names[view]}`),
        make("ol", {}, ...lists[heard.get(index)].map(([other, value]) => card(other, index, value))))));
    drawLinks(chosen("view"));
  }
  function step(by) {
    const options = [...get("clip").options];
    const place = options.findIndex((option) => Number(option.value) === selected);
    select(Number(options[(place + by + options.length) % options.length].value));
  }

  // -- set-up -------------------------------------------------------------------------------------------------------
  views.forEach((view, k) => {
    const radio = make("input", { type: "radio", name: "view", value: view });
    radio.checked = k === 0;
    get("views").append(make("label", {}, radio, ` ${gallery.names[view]}`), " ");
  });
  const sensors = [...new Set(gallery.panel.map((index) => gallery.clips[index].sensor))].sort(collator.compare);
  for (const sensor of sensors) {
    const options = gallery.panel.filter((index) => gallery.clips[index].sensor === sensor)
      .map((index) => make("option", { value: index }, `${gallery.clips[index].name} · ${sources(gallery.clips[index])}`));
    get("clip").append(make("optgroup", { label: `sensor ${sensor}` }, ...options));
  }
  root.querySelector("form").addEventListener("change", (event) => {
    if (event.target.name === "colour") alone = null;
    drawMap();
  });
  get("clip").addEventListener("change", () => select(Number(get("clip").value)));
  get("previous").addEventListener("click", () => step(-1));
  get("next").addEventListener("click", () => step(1));
  drawMap();
  select(selected);
})();
