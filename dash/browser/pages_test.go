package browser

import (
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A view is a page with something to show, and an expression that is true when it is drawn.
type view struct{ name, path, drawn string }

var views = []view{
	{"overview", "", "document.querySelectorAll('#charts canvas').length === 6"},
	{"explain", "explain?user=ann", "document.querySelectorAll('.waterfall rect').length > 2"},
	{"explain-hostile", "explain?user=" + url.QueryEscape(hostile), "document.querySelector('.waterfall') !== null"},
	{"explain-unknown", "explain?user=nobody", "document.querySelector('.note') !== null"},
	{"whatif", "explain?user=ann&set.prior_basket_value=120", "document.querySelector('#difference') !== null"},
	{"drift", "drift", "document.querySelectorAll('.histogram rect').length > 10"},
	{"models", "models", "document.querySelectorAll('.importance rect').length > 3"},
	{"weights", "models?weight.current=50", "document.querySelector('#preview rect') !== null"},
	{"tree-version", "tree?version=price@0&user=ann", "document.querySelectorAll('#tree .node.path').length > 2"},
	{"tree-refused", "tree?version=price@3", "document.querySelector('.note').textContent.includes('is refused')"},
	{"tree", "tree?route=current&number=3&user=ann", "document.querySelectorAll('#tree .node.path').length > 2"},
}

// blank returns the pictures that have nothing in them: canvases of one colour, and shapes
// of no size or of the colour behind them.
const blank = `(() => {
  const faults = [];
  for (const c of document.querySelectorAll('canvas')) {
    const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
    const colours = new Set();
    for (let i = 0; i < data.length && colours.size < 4; i += 4) colours.add(data.slice(i, i + 4).join());
    if (colours.size < 4) faults.push('a canvas of ' + colours.size + ' colours');
  }
  for (const svg of document.querySelectorAll('svg')) {
    const box = svg.getBoundingClientRect();
    if (svg.checkVisibility() && (box.width < 20 || box.height < 10)) faults.push('a picture of ' + box.width + ' by ' + box.height);
  }
  for (const r of document.querySelectorAll('svg rect')) {
    if (r.checkVisibility() && getComputedStyle(r).fill === 'rgb(0, 0, 0)') faults.push('a rectangle without a colour: ' + r.className.baseVal);
  }
  return faults;
})()`

// TestPages opens each page in light and dark, wide and narrow.
func TestPages(t *testing.T) {
	s := newShop(t)
	if eventsOf := getJSON[struct{ Times []int64 }](t, s.url+"api/overview"); len(eventsOf.Times) == 0 {
		b := newTab(t, 1280, "light")
		b.do(navigate(s.url))
		b.until("document.querySelector('#requests').value > 0") // by an event of the stream
		b.clean()
	}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 360} {
			b := newTab(t, width, scheme)
			for _, v := range views {
				name := fmt.Sprintf("%s-%s-%d", v.name, scheme, width)
				b.do(navigate(s.url + v.path))
				b.until(v.drawn)
				b.clean()
				if faults := eval[[]string](b, blank); len(faults) > 0 {
					t.Errorf("%s: %q", name, faults)
				}
				if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > width {
					t.Errorf("%s: the page is %d wide", name, wide)
				}
				b.keep(name)
			}
		}
	}
}

// TestPages_accessible: axe-core finds nothing that keeps people from using a page.
func TestPages_accessible(t *testing.T) {
	npm, _ := exec.LookPath("npm")
	need(t, "npm", npm)
	need(t, "chromium", chromium())
	source, err := axe()
	if err != nil {
		if os.Getenv("BASKET_SERVERS") != "" {
			t.Fatalf("npm pack axe-core: %v", err)
		}
		t.Skipf("npm pack axe-core: %v", err)
	}
	s := newShop(t)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 360} {
			b := newTab(t, width, scheme)
			for _, v := range views {
				b.do(navigate(s.url + v.path))
				b.until(v.drawn)
				eval[bool](b, "document.querySelectorAll('details').forEach((d) => { d.open = true; }), true")
				eval[bool](b, source+"; true")
				found := eval[[]string](b, `axe.run().then((r) => r.violations.map((v) => v.id + ': ' + v.help + ': ' + v.nodes.slice(0, 3).map((n) => n.html + ' ' + n.failureSummary).join(' | ')))`)
				for _, fault := range found {
					t.Errorf("%s, %s, %d wide: %.600s", v.name, scheme, width, fault)
				}
			}
		}
	}
}

// TestPages_values: the figures on a page are those of the JSON.
func TestPages_values(t *testing.T) {
	s := newShop(t)
	b := newTab(t, 1280, "light")
	value := func(selector string) float64 {
		return eval[float64](b, "Number(document.querySelector("+quote(selector)+").value)")
	}
	b.do(navigate(s.url + "explain?user=ann"))
	explained := getJSON[struct {
		Price, Bias float64
		Features    []struct{ Contribution float64 }
	}](t, s.url+"api/explain?user=ann")
	if value("#price") != explained.Price || value("#bias") != explained.Bias {
		t.Errorf("price %v, bias %v, want %+v", value("#price"), value("#bias"), explained)
	}
	var want float64
	for _, f := range explained.Features {
		want += f.Contribution
	}
	got := eval[float64](b, "[...document.querySelectorAll('.contribution')].reduce((sum, d) => sum + Number(d.value), 0)")
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("contributions %v, want %v", got, want)
	}
	// The picture is in proportion: each bar is as long as its contribution.
	if off := eval[float64](b, `(() => {
		const bars = [...document.querySelectorAll('.waterfall rect')].map((r) => r.getBoundingClientRect().width);
		const sizes = [...document.querySelectorAll('.contribution')].map((d) => Math.abs(d.value));
		return Math.max(...bars.map((w, i) => Math.abs(w / bars[0] - sizes[i] / sizes[0])));
	})()`); off > 0.01 {
		t.Errorf("a bar is %v too long", off)
	}

	b.do(navigate(s.url + "models"))
	state := getJSON[struct {
		Importances []struct{ Features []struct{ Gain float64 } }
	}](t, s.url+"api/models")
	if value(".gain") != state.Importances[0].Features[0].Gain {
		t.Errorf("gain %v", value(".gain"))
	}

	b.do(navigate(s.url + "drift"))
	report := getJSON[struct {
		Verdict string
		Routes  []struct {
			Columns []struct{ Windows []struct{ PSI float64 } }
		}
	}](t, s.url+"api/drift")
	if b.text("#verdict") != report.Verdict || report.Verdict != "drift" {
		t.Errorf("verdict %q, want %q", b.text("#verdict"), report.Verdict)
	}

	b.do(navigate(s.url))
	b.until("Number(document.querySelector('#requests').value) > 0")
	overview := getJSON[struct {
		Hour struct {
			Routes []struct{ Count float64 }
		} `json:"last_hour"`
	}](t, s.url+"api/overview")
	if value(".predictions") != overview.Hour.Routes[0].Count {
		t.Errorf("predictions %v, want %v", value(".predictions"), overview.Hour.Routes[0].Count)
	}
	b.until("document.querySelector('#past tbody td').textContent.startsWith('2 d 2 h')")
	b.until("document.querySelector('#charts figure:last-child figcaption').textContent === 'Age of the data, h'")
	if !strings.Contains(b.text("#routes"), "U+202E") {
		t.Errorf("routes %q", b.text("#routes"))
	}
	b.clean()
}
