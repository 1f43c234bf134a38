package dash_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/dash"
)

// TestModels: the JSON has the routes, the versions that are loaded and refused, and the
// importance of features.
func TestModels(t *testing.T) {
	s := newShop(t)
	h := s.handler()
	type state struct {
		Experiment string
		Routes     []struct {
			Name, Model string
			Weight      int
			Share       float64
			Shadow      bool
		}
		Loaded []struct {
			Name     string
			Served   bool
			Trees    int
			Features []string
			Digest   string
		}
		Refused     []struct{ Name, Version, Reason string }
		Importances []struct {
			Route    string
			Features []struct {
				Name   string
				Gain   *float64
				Splits int
			}
		}
	}
	got := getJSON[state](t, h, "/api/models", 200)
	if got.Experiment != "prices "+hostile || len(got.Routes) != 3 || got.Routes[0].Share != 0.9 || !got.Routes[2].Shadow {
		t.Errorf("routes %+v", got.Routes)
	}
	model, err := s.models.Model("price@2")
	check(t, err)
	if len(got.Loaded) != 3 || !got.Loaded[0].Served || got.Loaded[0].Digest != model.Info().Digest || !cmp.Equal(got.Loaded[0].Features, model.Features()) {
		t.Errorf("loaded %+v", got.Loaded)
	}
	if len(got.Refused) != 1 || got.Refused[0].Version != "3" || strings.Contains(got.Refused[0].Reason, s.dir) || got.Refused[0].Reason == "" {
		t.Errorf("refused %+v", got.Refused)
	}
	want := map[string]basket.Importance{}
	for j, x := range model.Importances() {
		want[model.Features()[j]] = x
	}
	for _, f := range got.Importances[1].Features {
		if *f.Gain != want[f.Name].Gain || f.Splits != want[f.Name].Splits {
			t.Errorf("%s: %v %d, want %+v", f.Name, *f.Gain, f.Splits, want[f.Name])
		}
	}
	wantText(t, get(h, "/models").Body.String(), "price</bdi>@<bdi>3</bdi>", "Move weights", model.Info().Digest, `<a href="tree?model=version%3aprice%400"`)
}

// admin allows everything.
func admin(*http.Request) bool { return true }

// submit sends the form of a page that has an ID, as a browser does.
func submit(t testing.TB, h http.Handler, page, id string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	_, form, ok := strings.Cut(page, `<form id="`+id+`"`)
	form, _, _ = strings.Cut(form, "</form>")
	if !ok {
		t.Fatalf("no form %s: %s", id, page)
	}
	values := url.Values{}
	for _, input := range regexp.MustCompile(`<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"`).FindAllStringSubmatch(form, -1) {
		values.Add(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
	}
	r := httptest.NewRequest(http.MethodPost, "/weights", strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return record(h, r)
}

// TestWeights: what will change is shown, and then is what changes.
func TestWeights(t *testing.T) {
	s := newShop(t)
	h := s.handler(dash.WithAdmin(admin))
	preview := get(h, "/models?weight.current=50&weight."+url.QueryEscape("next "+hostile)+"=50").Body.String()
	wantText(t, preview, "90 becomes 50", "10 becomes 50", "90.0 % becomes 50.0 %", "40.0 % of the users would get another route")
	if w := submit(t, h, preview, "confirm"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "models?moved" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	_, routes := s.p.Routes()
	if routes[0].Weight != 50 || routes[1].Weight != 50 || !routes[2].Shadow {
		t.Errorf("routes %+v", routes)
	}
	wantText(t, get(h, "/models?moved").Body.String(), "The weights have been changed")

	// The form of before is refused now.
	again := submit(t, h, preview, "confirm")
	if again.Code != http.StatusPreconditionFailed {
		t.Errorf("an old form: %d", again.Code)
	}
	wantText(t, again.Body.String(), "Nothing was changed", "The routes have changed")
}

// TestWeights_refused: nobody but an administrator, on this page, with good weights,
// changes anything.
func TestWeights_refused(t *testing.T) {
	for _, test := range []struct {
		name   string
		admin  func(*http.Request) bool
		change func(page string) string
		header []string
		status int
	}{
		{name: "no administrator", admin: func(*http.Request) bool { return false }, status: 403},
		{name: "another site", admin: admin, header: []string{"Sec-Fetch-Site", "cross-site"}, status: 403},
		{name: "another origin", admin: admin, header: []string{"Origin", "https://example.org"}, status: 403},
		{name: "no tag", admin: admin, change: replace(`name="tag"`, `name="none"`), status: 428},
		{name: "no number", admin: admin, change: replace(`value="50"`, `value="many"`), status: 400},
		{name: "a weight below 0", admin: admin, change: replace(`value="50"`, `value="-1"`), status: 400},
		{name: "no weight above 0", admin: admin, change: replace(`value="50"`, `value="0"`), status: 400},
		{name: "another route", admin: admin, change: replace(`name="weight.current"`, `name="weight.other"`), status: 400},
		{name: "another type", admin: admin, header: []string{"Content-Type", "text/plain"}, status: 428},
	} {
		s := newShop(t)
		page := get(s.handler(dash.WithAdmin(admin)), "/models?weight.current=50&weight."+url.QueryEscape("next "+hostile)+"=50").Body.String()
		if test.change != nil {
			page = test.change(page)
		}
		w := submit(t, s.handler(dash.WithAdmin(test.admin)), page, "confirm", test.header...)
		if w.Code != test.status || !strings.Contains(w.Body.String(), `class="note"`) {
			t.Errorf("%s: %d, want %d: %s", test.name, w.Code, test.status, w.Body)
		}
		if _, routes := s.p.Routes(); routes[0].Weight != 90 {
			t.Errorf("%s: routes %+v", test.name, routes)
		}
	}
	s := newShop(t)
	if w := get(s.handler(), "/weights"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", w.Code)
	}
	if w := record(dash.NewHandler(s.p), httptest.NewRequest(http.MethodPost, "/weights", nil)); w.Code != http.StatusNotFound {
		t.Errorf("without routes: %d", w.Code)
	}
	wantText(t, get(s.handler(), "/models?weight.current=50").Body.String(), "role admin only")
}

func replace(old, new string) func(string) string {
	return func(s string) string { return strings.ReplaceAll(s, old, new) }
}
