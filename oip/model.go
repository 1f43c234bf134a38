package oip

import (
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/basket-go/basket"
)

// rowsSuffix is what the name of a model for rows ends with.
const rowsSuffix = "-features"

// A served is a model under one of its two names.
type served struct {
	Version
	name     string // in the path
	rows     bool   // for rows, not for users
	columns  int
	outputs  int
	versions []string // of the name
}

// find returns the model that a path names.
func (h *handler) find(t target) (served, *failure) {
	all := h.models()
	for _, rows := range []bool{false, true} {
		name := t.model
		if rows {
			var ok bool
			if name, ok = strings.CutSuffix(t.model, rowsSuffix); !ok {
				break
			}
		}
		m := served{name: t.model, rows: rows}
		for _, v := range all {
			if v.Name != name || v.Model == nil {
				continue
			}
			m.versions = append(m.versions, v.Version)
			if m.Model == nil && (t.version == "" || t.version == v.Version) {
				m.Version = v
			}
		}
		switch {
		case len(m.versions) == 0:
			continue
		case m.Model == nil:
			return served{}, failf(http.StatusNotFound, "model %.100q has no version %.100q that is loaded", t.model, t.version)
		}
		m.columns, m.outputs = len(m.Model.Features()), 1
		if o, ok := m.Model.(interface{ Outputs() int }); ok {
			m.outputs = o.Outputs()
		}
		if !rows && (h.store == nil || m.outputs != 1) {
			return served{}, failf(http.StatusNotFound, "model %.100q is served for rows only: want %.100q", t.model, t.model+rowsSuffix)
		}
		return m, nil
	}
	return served{}, failf(http.StatusNotFound, "no model is named %.100q", t.model)
}

// input is the name of the input.
func (m *served) input() string {
	if m.rows {
		return "features"
	}
	return "user_id"
}

// output is the name of the output.
func (m *served) output() string {
	if m.outputs > 1 {
		return "predictions"
	}
	return "predicted_price"
}

type tensorMetadata struct {
	Name       string         `json:"name"`
	Datatype   string         `json:"datatype"`
	Shape      []int          `json:"shape"`
	Parameters map[string]any `json:"parameters,omitempty"`
}

// metadata describes the model.
func (m *served) metadata() any {
	in := tensorMetadata{Name: m.input(), Datatype: "BYTES", Shape: []int{-1}}
	if m.rows {
		in.Datatype, in.Shape = "FP64", []int{-1, m.columns}
		in.Parameters = map[string]any{"columns": strings.Join(m.Model.Features(), ",")}
	}
	out := tensorMetadata{Name: m.output(), Datatype: "FP64", Shape: []int{-1}}
	if m.outputs > 1 {
		out.Shape = []int{-1, m.outputs}
	}
	return struct {
		Name     string           `json:"name"`
		Versions []string         `json:"versions"`
		Platform string           `json:"platform"`
		Inputs   []tensorMetadata `json:"inputs"`
		Outputs  []tensorMetadata `json:"outputs"`
	}{m.name, m.versions, m.platform(), []tensorMetadata{in}, []tensorMetadata{out}}
}

// platform is "lightgbm_text", for example: the protocol wants PROJECT_FORMAT.
func (m *served) platform() string {
	if f, ok := m.Model.(interface{ Info() basket.ModelInfo }); ok {
		i := f.Info()
		return strings.ReplaceAll(i.Library, "-", "") + "_" + i.Format
	}
	return "basket_go"
}

// A userPredictor is the predictor for users of a version.
type userPredictor struct {
	*basket.Predictor
	model basket.Model
}

// predictor returns the predictor for users of a version, and makes it for its first
// request. It forgets those of versions that are served no more.
func (h *handler) predictor(v Version) (*basket.Predictor, error) {
	key := v.Name + "@" + v.Version
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.predictors[key]; p != nil && same(p.model, v.Model) {
		return p.Predictor, nil
	}
	served := map[string]bool{}
	for _, s := range h.models() {
		served[s.Name+"@"+s.Version] = true
	}
	for old := range h.predictors {
		if !served[old] {
			delete(h.predictors, old)
		}
	}
	route := basket.Route{Name: key, Model: v.Model, Weight: 1}
	p, err := basket.New(append(slices.Clone(h.options), basket.WithStore(h.store), basket.WithRoutes("", route))...)
	if err != nil {
		return nil, err
	}
	h.predictors[key] = &userPredictor{p, v.Model}
	return p, nil
}

// same reports whether two models are one. Models that cannot be compared are not
// replaced by others.
func same(a, b basket.Model) bool {
	t := reflect.TypeOf(a)
	return t == reflect.TypeOf(b) && (!t.Comparable() || a == b)
}
