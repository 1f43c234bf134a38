package dash

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/basket-go/basket"
)

// A treeChoice is a model whose trees can be looked at: that of a route, or a version that
// is loaded.
type treeChoice struct {
	Route, Version string // one is empty
	model          *basket.FileModel
}

// Prefixes of the parameter "model", which the form has: a route may be named as a version is.
const (
	routePrefix   = "route:"
	versionPrefix = "version:"
)

// Param is the choice as the parameter "model" of a request.
func (c treeChoice) Param() string {
	if c.Version != "" {
		return versionPrefix + c.Version
	}
	return routePrefix + c.Route
}

// treeChoices returns the routes whose models were read from files, and then the versions
// that are loaded.
func (h *handler) treeChoices() (list []treeChoice) {
	_, routes := h.p.Routes()
	for _, one := range routes {
		if m, ok := one.Model.(*basket.FileModel); ok {
			list = append(list, treeChoice{Route: one.Name, model: m})
		}
	}
	if h.repository == nil {
		return list
	}
	versions := 0
	for _, m := range h.repository.State() {
		for _, version := range m.Loaded {
			name := m.Name + "@" + version
			model, err := h.repository.Model(name)
			if err != nil { // it was just let go
				continue
			}
			if versions++; versions <= maxModels {
				list = append(list, treeChoice{Version: name, model: model})
			}
		}
	}
	return list
}

// chooseModel sets the model that a request asks for, by default the first there is. It
// reports whether there is one.
func (h *handler) chooseModel(s *treeState, query url.Values) bool {
	s.choices = h.treeChoices()
	route, version := query.Get("route"), query.Get("version")
	if text := query.Get("model"); text != "" {
		var ok bool
		if route, ok = strings.CutPrefix(text, routePrefix); !ok {
			route, version = "", strings.TrimPrefix(text, versionPrefix)
		}
	}
	i := slices.IndexFunc(s.choices, func(c treeChoice) bool {
		return route == "" && version == "" || version == "" && c.Version == "" && c.Route == route || version != "" && c.Version == version
	})
	if i >= 0 {
		s.chosen = s.choices[i]
		s.Route, s.Version = s.chosen.Route, s.chosen.Version
		return true
	}
	s.status, s.notes = http.StatusNotFound, []note{h.noTrees(s, route, version)}
	return false
}

// noTrees says why there is no model to show, and what to do.
func (h *handler) noTrees(s *treeState, route, version string) note {
	switch {
	case len(s.choices) == 0:
		return note{Before: "No route has a model that was read from a file, so there are no trees to show."}
	case version == "":
		return note{"No route ", route, " has a model that was read from a file. Choose another one in the list."}
	case h.repository == nil:
		return note{"The version ", version, " cannot be shown: this service has no folder of model versions. Choose a route in the list."}
	}
	name, number, _ := strings.Cut(version, "@")
	for _, m := range h.repository.State() {
		if m.Name != name {
			continue
		}
		for _, f := range m.Faults {
			if f.Version == number {
				return note{"The version ", version, " is refused, so it has no trees to show. The page Models and routes has the reason: replace its file, or choose another one in the list."}
			}
		}
	}
	return note{"No version ", version, " is loaded. Choose one in the list, or pin it, so that it is loaded: only the newest three of a model are."}
}
