// The form "What if" asks while a value is changed. Without this script it has a button.
// fetch refuses a URL with a password, which that of the page may have.
const here = (path) => new URL(path, location.origin + location.pathname);
const form = document.getElementById('whatif');
const offline = document.getElementById('offline');
let running = null;

async function ask() {
  running?.abort();
  running = new AbortController();
  const query = new URLSearchParams(new FormData(form));
  try {
    const answer = await fetch(here('explain?' + query), { signal: running.signal });
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const now = page.getElementById('result');
    const notes = [...page.querySelectorAll('#live > .note')].map((n) => n.textContent).join(' ');
    if (now) document.getElementById('result').replaceWith(now);
    offline.textContent = notes;
    offline.classList.toggle('note', notes !== '');
    if (now) history.replaceState(null, '', '?' + query);
  } catch (err) {
    if (err.name === 'AbortError') return;
    offline.textContent = 'The server does not answer: what is shown is from before. Try again when it runs.';
    offline.classList.add('note');
  }
}

let waiting = 0;
form?.addEventListener('input', () => {
  clearTimeout(waiting);
  waiting = setTimeout(ask, 150);
});
form?.addEventListener('submit', (event) => {
  event.preventDefault();
  ask();
});
