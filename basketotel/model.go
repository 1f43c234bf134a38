package basketotel

import (
	"context"
	"fmt"

	"github.com/basket-go/basket"
)

// Model returns m with its time recorded, in a span if there are tracers. It has the
// methods Outputs and String of m, or what stands for them in [basket.Model]; it is a
// [basket.Explainer] if m is one, and has the Info of a [basket.FileModel].
func (t *Telemetry) Model(m basket.Model) basket.Model {
	if m == nil {
		return nil
	}
	w := &model{Model: m}
	switch m := m.(type) {
	case *basket.FileModel:
		if m == nil { // of a failed LoadModel; basket.New tells
			return m
		}
		w.describe(t, m.Info().ID)
		return &fileModel{&explainer{w, m}, m}
	case basket.Explainer:
		w.describe(t, "")
		return &explainer{w, m}
	}
	w.describe(t, "")
	return w
}

type model struct {
	basket.Model
	text             string // of String
	predict, explain *operation
}

// describe sets what is asked of the model once. Without an ID, its String is recorded.
func (m *model) describe(t *Telemetry, id string) {
	m.text = fmt.Sprintf("%T", m.Model)
	if s, ok := m.Model.(fmt.Stringer); ok {
		m.text = s.String()
	}
	if id == "" {
		id = m.text
	}
	m.predict = t.operation(t.model, "basket.model.predict", operationKey{model: id, operation: "predict"})
	m.explain = t.operation(t.model, "basket.model.explain", operationKey{model: id, operation: "explain"})
}

// Outputs returns the number of predictions per row.
func (m *model) Outputs() int {
	if o, ok := m.Model.(interface{ Outputs() int }); ok {
		return o.Outputs()
	}
	return 1
}

// String returns that of the model, or its type.
func (m *model) String() string { return m.text }

// Predict predicts by the model.
func (m *model) Predict(ctx context.Context, dst, rows []float64) (err error) {
	ctx, c := m.predict.start(ctx, len(dst))
	err = errUnfinished
	defer func() { m.predict.end(ctx, c, err) }()
	err = m.Model.Predict(ctx, dst, rows)
	return err
}

type explainer struct {
	*model
	inner basket.Explainer
}

// Explain explains by the model.
func (m *explainer) Explain(ctx context.Context, dst, row []float64) (bias float64, err error) {
	ctx, c := m.explain.start(ctx, 0)
	err = errUnfinished
	defer func() { m.explain.end(ctx, c, err) }()
	bias, err = m.inner.Explain(ctx, dst, row)
	return bias, err
}

type fileModel struct {
	*explainer
	file *basket.FileModel
}

// Info describes the model.
func (m *fileModel) Info() basket.ModelInfo { return m.file.Info() }

var _ basket.Explainer = (*fileModel)(nil)
