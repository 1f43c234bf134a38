// Moves and zooms the picture of a tree by its viewBox. Without this script it scrolls.
const frame = document.getElementById('tree');
const svg = frame?.querySelector('svg');

if (svg) {
  const whole = svg.viewBox.baseVal;
  const size = { width: whole.width, height: whole.height };
  const view = { x: 0, y: 0, scale: 1 }; // the left upper corner, and pixels per unit
  frame.classList.add('zooming');
  for (const id of ['zoom', 'zoom-help']) document.getElementById(id).hidden = false;

  const show = () => svg.setAttribute('viewBox', [view.x, view.y, frame.clientWidth / view.scale, frame.clientHeight / view.scale].join(' '));
  const root = () => {
    view.scale = 1;
    view.x = Number(svg.dataset.root) - frame.clientWidth / 2;
    view.y = 0;
    show();
  };
  const fit = () => {
    view.scale = Math.min(frame.clientWidth / size.width, frame.clientHeight / size.height, 1);
    view.x = (size.width - frame.clientWidth / view.scale) / 2;
    view.y = 0;
    show();
  };
  // zoom keeps the point at px, py of the frame where it is.
  const zoom = (factor, px = frame.clientWidth / 2, py = frame.clientHeight / 2) => {
    const scale = Math.min(Math.max(view.scale * factor, 0.02), 8);
    view.x += px / view.scale - px / scale;
    view.y += py / view.scale - py / scale;
    view.scale = scale;
    show();
  };
  const move = (dx, dy) => {
    view.x += dx / view.scale;
    view.y += dy / view.scale;
    show();
  };

  svg.removeAttribute('width');
  svg.removeAttribute('height');
  root();
  new ResizeObserver(show).observe(frame);

  document.getElementById('zoom').addEventListener('click', (event) => {
    const actions = { in: () => zoom(1.5), out: () => zoom(1 / 1.5), whole: fit, root };
    actions[event.target.dataset.zoom]?.();
  });
  frame.addEventListener('keydown', (event) => {
    const actions = {
      ArrowLeft: () => move(-60, 0), ArrowRight: () => move(60, 0), ArrowUp: () => move(0, -60), ArrowDown: () => move(0, 60),
      '+': () => zoom(1.5), '-': () => zoom(1 / 1.5), 0: fit, Home: root,
    };
    if (event.ctrlKey || event.metaKey || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  });
  frame.addEventListener('wheel', (event) => {
    if (!event.ctrlKey) return; // the page scrolls
    event.preventDefault();
    const box = frame.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  let held = null;
  frame.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    held = { x: event.clientX, y: event.clientY };
    frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener('pointermove', (event) => {
    if (!held) return;
    move(held.x - event.clientX, held.y - event.clientY);
    held = { x: event.clientX, y: event.clientY };
  });
  for (const end of ['pointerup', 'pointercancel']) frame.addEventListener(end, () => { held = null; });
}
