package dash

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/routing"
)

// A modelsState is what the page on models and routes shows.
type modelsState struct {
	Experiment  string       `json:"experiment"`
	Routes      []routeState `json:"routes"`
	Loaded      []modelInfo  `json:"loaded"`
	Refused     []refused    `json:"refused"`
	Importances []importance `json:"importances"`
}

type routeState struct {
	Name   string          `json:"name"`
	Model  string          `json:"model"`
	Weight int             `json:"weight"`
	Share  number          `json:"share"` // of the users, from 0 to 1
	Shadow bool            `json:"shadow"`
	Apart  *routing.Shadow `json:"difference,omitempty"` // of a shadow from the answers

	file *basket.FileModel // nil if the model is of another type
}

// A modelInfo is a model that is loaded.
type modelInfo struct {
	Name     string   `json:"name"`
	Served   bool     `json:"served"` // what the name without a version means, or the model of a route
	Pinned   bool     `json:"pinned,omitempty"`
	Library  string   `json:"library"`
	Trees    int      `json:"trees"`
	Depth    int      `json:"depth"`
	Features []string `json:"features"`
	Digest   string   `json:"digest"`

	Param string `json:"-"` // of its trees
}

// A refused is a version that is not served as it is in the folder.
type refused struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Reason  string `json:"reason"`
}

// An importance is how much the model of a route uses its features, the most used first.
type importance struct {
	Route    string            `json:"route"`
	Features []featureUse      `json:"features"`
	Model    *basket.FileModel `json:"-"`
}

type featureUse struct {
	Name       string `json:"name"`
	Gain       number `json:"gain"` // null if the file does not record it
	Splits     int    `json:"splits"`
	GainShare  number `json:"-"` // of the largest, in units of the picture
	SplitShare number `json:"-"`
}

// maxModels is how many models are listed.
const maxModels = 200

func (h *handler) modelsState() *modelsState {
	s := &modelsState{Routes: []routeState{}, Loaded: []modelInfo{}, Refused: []refused{}, Importances: []importance{}}
	experiment, routes := h.p.Routes()
	s.Experiment = experiment
	var total float64
	for _, r := range routes {
		total += float64(r.Weight)
	}
	shadows := map[string]routing.Shadow{}
	if h.routes != nil {
		for _, one := range h.routes.Shadows().Shadows() {
			shadows[one.Route] = one
		}
	}
	for _, r := range routes {
		state := routeState{Name: r.Name, Model: modelText(r.Model), Weight: r.Weight, Shadow: r.Shadow}
		if total > 0 {
			state.Share = number(float64(r.Weight) / total)
		}
		if apart, ok := shadows[r.Name]; ok {
			state.Apart = &apart
		}
		state.file, _ = r.Model.(*basket.FileModel)
		s.Routes = append(s.Routes, state)
		if state.file != nil {
			s.Importances = append(s.Importances, h.trees.of(r.Name, state.file))
		}
	}
	if h.repository == nil {
		s.addRouted()
	} else {
		h.addLoaded(s)
	}
	return s
}

// modelText describes a model as predictions do.
func modelText(m basket.Model) string {
	if s, ok := m.(interface{ String() string }); ok {
		return s.String()
	}
	return "a model without a description"
}

// addRouted adds the models of the routes, each once.
func (s *modelsState) addRouted() {
	seen := map[*basket.FileModel]bool{}
	for _, r := range s.Routes {
		if r.file != nil && !seen[r.file] {
			seen[r.file] = true
			s.add(r.file, modelInfo{Name: r.Name, Served: true, Param: routePrefix + r.Name})
		}
	}
}

// addLoaded adds what the repository has.
func (h *handler) addLoaded(s *modelsState) {
	for _, m := range h.repository.State() {
		for _, version := range m.Loaded {
			if file, err := h.repository.Model(m.Name + "@" + version); err == nil { // else it was just let go
				name := m.Name + "@" + version
				s.add(file, modelInfo{Name: name, Served: version == m.Served, Pinned: version == m.Pinned, Param: versionPrefix + name})
			}
		}
		for _, f := range m.Faults {
			if len(s.Refused) < maxModels {
				reason := strings.ReplaceAll(f.Err.Error(), strings.TrimSuffix(h.dir, "/")+"/", "")
				s.Refused = append(s.Refused, refused{m.Name, f.Version, reason})
			}
		}
	}
}

func (s *modelsState) add(m *basket.FileModel, info modelInfo) {
	if len(s.Loaded) == maxModels {
		return
	}
	facts := m.Info()
	info.Library, info.Trees, info.Depth = strings.TrimSpace(facts.Library+" "+facts.Version), facts.Trees, facts.Depth
	info.Features, info.Digest = m.Features(), facts.Digest
	s.Loaded = append(s.Loaded, info)
}

func (h *handler) modelsData(*http.Request) (int, any) { return http.StatusOK, h.modelsState() }

// An importanceCache has the importances of the models that were looked at last: they
// take a walk through all trees. The zero value is empty.
type importanceCache struct {
	mu    sync.Mutex
	known map[*basket.FileModel][]featureUse
}

// maxImportances is how many models an importanceCache has.
const maxImportances = 64

// of returns the importance of a model's features.
func (c *importanceCache) of(route string, m *basket.FileModel) importance {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, ok := c.known[m]
	if !ok {
		if len(c.known) >= maxImportances || c.known == nil {
			c.known = map[*basket.FileModel][]featureUse{}
		}
		list = featureUses(m)
		c.known[m] = list
	}
	return importance{Route: route, Features: list, Model: m}
}

func featureUses(m *basket.FileModel) []featureUse {
	names := m.Features()
	list := make([]featureUse, 0, len(names))
	var gain, splits float64
	for j, x := range m.Importances() {
		list = append(list, featureUse{Name: names[j], Gain: number(x.Gain), Splits: x.Splits})
		if !math.IsNaN(x.Gain) {
			gain = max(gain, x.Gain)
		}
		splits = max(splits, float64(x.Splits))
	}
	for j := range list {
		if gain > 0 && !list[j].Gain.missing() {
			list[j].GainShare = list[j].Gain / number(gain) * barWidth
		}
		if splits > 0 {
			list[j].SplitShare = number(float64(list[j].Splits) / splits * barWidth)
		}
	}
	slices.SortStableFunc(list, func(a, b featureUse) int {
		return cmp.Or(cmp.Compare(b.GainShare, a.GainShare), cmp.Compare(b.Splits, a.Splits))
	})
	return list
}

// barWidth is the width of the longest bar in the units of its picture.
const barWidth = 1000

// A modelsBody is what the page shows.
type modelsBody struct {
	*modelsState
	Weights *weightsForm // nil if routes are not in a file
	Moved   bool         // weights have just been changed
}

func (h *handler) modelsPage(r *http.Request) *page {
	p := &page{Status: http.StatusOK, Path: "/models", Title: "Models and routes"}
	body := &modelsBody{modelsState: h.modelsState(), Moved: r.URL.Query().Has("moved")}
	p.Body = body
	if h.routes != nil {
		body.Weights, p.Notes = h.weightsForm(r)
		if h.routes.Err() != nil {
			p.Notes = append(p.Notes, note{Before: "The file of routes has a content that is not applied, so the routes stay as they were. The service log says what is wrong with it."})
		}
	}
	return p
}

// HasShadows reports whether there are differences of shadows to show.
func (s *modelsState) HasShadows() bool {
	return slices.ContainsFunc(s.Routes, func(r routeState) bool { return r.Apart != nil })
}
