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

// find returns the model of a name, in a version or, if that is empty, in the first one.
func (h *Handler) find(model, version string) (served, *Error) {
	all := h.models()
	for _, rows := range []bool{false, true} {
		name := model
		if rows {
			var ok bool
			if name, ok = strings.CutSuffix(model, rowsSuffix); !ok {
				break
			}
		}
		m := served{name: model, rows: rows}
		for _, v := range all {
			if v.Name != name || v.Model == nil {
				continue
			}
			m.versions = append(m.versions, v.Version)
			if m.Model == nil && (version == "" || version == v.Version) {
				m.Version = v
			}
		}
		switch {
		case len(m.versions) == 0:
			continue
		case m.Model == nil:
			return served{}, failf(http.StatusNotFound, "model %.100q has no version %.100q that is loaded", model, version)
		}
		m.columns, m.outputs = len(m.Model.Features()), 1
		if o, ok := m.Model.(interface{ Outputs() int }); ok {
			m.outputs = o.Outputs()
		}
		if !rows && (h.store == nil || m.outputs != 1) {
			return served{}, failf(http.StatusNotFound, "model %.100q is served for rows only: want %.100q", model, model+rowsSuffix)
		}
		return m, nil
	}
	return served{}, failf(http.StatusNotFound, "no model is named %.100q", model)
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

// metadata describes the model.
func (m *served) metadata() *ModelMetadata {
	in := TensorMetadata{Name: m.input(), Datatype: "BYTES", Shape: []int64{-1}}
	if m.rows {
		in.Datatype, in.Shape = "FP64", []int64{-1, int64(m.columns)}
		in.Parameters = map[string]string{"columns": strings.Join(m.Model.Features(), ",")}
	}
	out := TensorMetadata{Name: m.output(), Datatype: "FP64", Shape: []int64{-1}}
	if m.outputs > 1 {
		out.Shape = []int64{-1, int64(m.outputs)}
	}
	return &ModelMetadata{m.name, m.versions, m.platform(), []TensorMetadata{in}, []TensorMetadata{out}}
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
func (h *Handler) predictor(v Version) (*basket.Predictor, error) {
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
