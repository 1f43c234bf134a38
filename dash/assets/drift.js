// Keeps the page as new as the server's, without a word: what is the same stays the same
// element, with its focus, its place and whether it is open. Without this script the page
// is as new as its last load.
// fetch refuses a URL with a password, which that of the page may have.
const here = (path) => new URL(path, location.origin + location.pathname);
const shown = document.getElementById('drift');
const offline = document.getElementById('offline');
const going = document.getElementById('refresh');

// follow makes an element like another one. A child with data-key is the one with the same
// key as before, any other the next one of its kind.
function follow(old, now) {
  for (const { name, value } of now.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const rest = [...old.childNodes];
  let next = old.firstChild;
  for (const child of [...now.childNodes]) {
    const i = rest.findIndex((n) => n.nodeName === child.nodeName && n.dataset?.key === child.dataset?.key);
    const known = i < 0 ? child : rest.splice(i, 1)[0];
    if (known !== next) old.insertBefore(known, next);
    next = known.nextSibling;
    if (known === child) continue;
    if (child.nodeType === Node.ELEMENT_NODE) follow(known, child);
    else if (known.data !== child.data) known.data = child.data;
  }
  rest.forEach((n) => n.remove());
}

function say(text) {
  if (offline.textContent === text) return;
  offline.textContent = text;
  offline.classList.toggle('note', text !== '');
}

async function refresh() {
  if (document.hidden || !going.checked) return;
  try {
    const answer = await fetch(here('drift'));
    if (!answer.ok) throw new Error(answer.statusText);
    const now = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('drift');
    if (now === null) throw new Error('another page');
    follow(shown, now);
    say('');
  } catch {
    say('The server does not answer, or you are no longer logged in: what is shown is from before. This page goes on when it answers again.');
  }
}

if (shown) {
  document.getElementById('refreshing').hidden = false;
  (async () => {
    for (;;) {
      await new Promise((done) => { setTimeout(done, 5000); });
      await refresh();
    }
  })();
}
