package dash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/basket-go/basket/routing"
)

// maxWeight is the largest weight of a routing.Table.
const maxWeight = 1_000_000

// weightPrefix is before the name of a route in a query that changes its weight.
const weightPrefix = "weight."

// A weightsForm is the weights as they are, and as they would be.
type weightsForm struct {
	Allowed bool
	Tag     string // of the table whose weights these are
	Routes  []weightChange
	Preview bool   // some weight changes
	Moves   number // share of the users who would get another route
}

type weightChange struct {
	Name          string
	Was, Is       int
	WasShare, Sum number
	IsShare       number
	WasBar, IsBar number // shares in units of the picture
}

// weightsForm returns the form with the weights of a query.
func (h *handler) weightsForm(r *http.Request) (*weightsForm, []note) {
	table, tag, err := h.readTable(r)
	if err != nil {
		return nil, []note{{Before: "The routes cannot be read; the service log says why."}}
	}
	form := &weightsForm{Allowed: h.admin(r), Tag: tag}
	weights, faults := parseWeights(r.URL.Query(), table)
	form.fill(table, weights)
	return form, faults
}

// parseWeights reads the weights of a table's routes from a query or form: "weight.NAME=N".
// It returns a weight for each route, that of the table where there is none or a faulty one.
func parseWeights(query url.Values, table routing.Table) (weights []int, faults []note) {
	known := map[string]bool{}
	for _, route := range table.Routes {
		known[weightPrefix+route.Name] = true
		weight := route.Weight
		if texts := query[weightPrefix+route.Name]; len(texts) > 0 && !route.Shadow {
			n, err := strconv.Atoi(strings.TrimSpace(texts[len(texts)-1]))
			if err == nil && n >= 0 && n <= maxWeight {
				weight = n
			} else {
				faults = append(faults, note{"The weight of the route ", route.Name, fmt.Sprintf(" is left as it was: want a whole number from 0 to %d.", maxWeight)})
			}
		}
		weights = append(weights, weight)
	}
	for key := range query {
		if name, ok := strings.CutPrefix(key, weightPrefix); ok && !known[key] && len(faults) < 20 {
			faults = append(faults, note{"There is no route ", name, " any more: look at the routes as they are now."})
		}
	}
	return weights, faults
}

// fill compares the weights of a table with others.
func (f *weightsForm) fill(table routing.Table, weights []int) {
	var was, is []float64
	var wasSum, isSum float64
	for i, route := range table.Routes {
		if route.Shadow {
			continue
		}
		f.Routes = append(f.Routes, weightChange{Name: route.Name, Was: route.Weight, Is: weights[i]})
		was, is = append(was, float64(route.Weight)), append(is, float64(weights[i]))
		wasSum, isSum = wasSum+float64(route.Weight), isSum+float64(weights[i])
		f.Preview = f.Preview || route.Weight != weights[i]
	}
	for i := range f.Routes {
		c := &f.Routes[i]
		if wasSum > 0 {
			c.WasShare = number(was[i] / wasSum)
		}
		if isSum > 0 {
			c.IsShare = number(is[i] / isSum)
		}
		c.WasBar, c.IsBar = c.WasShare*barWidth, c.IsShare*barWidth
	}
	f.Moves = number(movedShare(was, is))
}

// movedShare returns the share of the users whom other weights give another route. In
// weighted rendezvous hashing, see [basket.Route], the score of route k is exponentially
// distributed with the rate w[k]. It becomes r[k] = w[k]/v[k] times as large with the weight
// v[k], so that a user stays on route i if its score is the least before and after: if that
// of each k is at least max(1, r[i]/r[k]) times that of i.
func movedShare(w, v []float64) float64 {
	stay := 0.0
	for i := range w {
		if w[i] == 0 || v[i] == 0 {
			continue
		}
		rate := 0.0
		for k := range w {
			rate += max(w[k], v[k]*w[i]/v[i])
		}
		stay += w[i] / rate
	}
	return max(0, 1-stay)
}

// readTable asks the handler of the routes for the table and its tag.
func (h *handler) readTable(r *http.Request) (routing.Table, string, error) {
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "/", nil)
	if err != nil {
		return routing.Table{}, "", err
	}
	request.URL.Path = targetPath(r)
	var a answer
	h.table.ServeHTTP(&a, request)
	table, err := routing.ParseTable(a.body.Bytes())
	return table, a.Header().Get("ETag"), err
}

// moveWeights changes the weights by a form, which the routing.File's handler checks and
// applies, if the routes are still those that the form was made for.
func (h *handler) moveWeights(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, text string) { writePage(w, r, h.faultPage(status, text)) }
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		refuse(http.StatusMethodNotAllowed, "Weights are changed by the form on the page Models and routes.")
		return
	case h.table == nil:
		refuse(http.StatusNotFound, "The routes of this service are not in a file, so they cannot be changed here.")
		return
	case h.origins.Check(r) != nil:
		refuse(http.StatusForbidden, "This request came from the page of another site. Use the form on the page Models and routes.")
		return
	case !h.admin(r):
		refuse(http.StatusForbidden, "Weights may be changed with the role admin only. Log in with the key of an administrator.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxQuery)
	if err := r.ParseForm(); err != nil {
		refuse(http.StatusBadRequest, "The form cannot be read. Go back to the page Models and routes, and try again.")
		return
	}
	table, _, err := h.readTable(r)
	if err != nil {
		refuse(http.StatusInternalServerError, "The routes cannot be read; the service log says why.")
		return
	}
	weights, faults := parseWeights(r.PostForm, table)
	if len(faults) > 0 {
		p := h.faultPage(http.StatusBadRequest, "Nothing was changed.")
		p.Notes = append(p.Notes, faults...)
		writePage(w, r, p)
		return
	}
	for i := range weights {
		table.Routes[i].Weight = weights[i]
	}
	if status, detail := h.putTable(r, table, r.PostForm.Get("tag")); status != http.StatusOK {
		p := h.faultPage(status, "Nothing was changed. ")
		p.Notes = append(p.Notes, note{"The answer was: ", detail, ". Go to the page Models and routes, look at the routes as they are now, and try again."})
		writePage(w, r, p)
		return
	}
	w.Header().Set("Location", "models?moved")
	w.WriteHeader(http.StatusSeeOther)
}

// putTable sends a table to the handler of the routes, and returns its answer.
func (h *handler) putTable(r *http.Request, table routing.Table, tag string) (status int, detail string) {
	text, err := json.Marshal(table)
	if err != nil {
		return http.StatusBadRequest, "the routes cannot be written as JSON"
	}
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPut, "/", bytes.NewReader(text))
	if err != nil {
		return http.StatusInternalServerError, "internal error"
	}
	request.URL.Path, request.RemoteAddr = targetPath(r), r.RemoteAddr
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("If-Match", tag)
	var a answer
	h.table.ServeHTTP(&a, request)
	var fault struct{ Detail string }
	_ = json.Unmarshal(a.body.Bytes(), &fault) // of a failure only
	return a.status(), fault.Detail
}

// targetPath returns the path that the client asked for, for the service log.
func targetPath(r *http.Request) string {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u.Path
	}
	return r.URL.Path
}

// An answer keeps what a handler answers.
type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

func (a *answer) WriteHeader(status int) {
	if a.code == 0 {
		a.code = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

func (a *answer) status() int { return max(a.code, http.StatusOK) }
