package basket

import (
	"context"
	"fmt"
	"slices"
)

// An Explanation is a Prediction with SHAP contributions.
type Explanation struct {
	Prediction
	Bias          float64
	Contributions []float64 // by Features, in margin units; 0 for a feature that the model does not use
}

// Explain predicts, and attributes the margin to the features: Bias plus the sum
// of Contributions is the margin, the score before the model's link function.
// Its errors are those of Predict, or wrap errors.ErrUnsupported if the model is
// no [Explainer] or cannot explain any row.
func (p *Predictor) Explain(ctx context.Context, userID string) (Explanation, error) {
	if fault := userIDFault(userID); fault != "" {
		return Explanation{Prediction: Prediction{UserID: userID}}, invalidUserID(fault)
	}
	return p.explainValid(ctx, userID)
}

func (p *Predictor) explainValid(ctx context.Context, userID string) (Explanation, error) {
	var r Result
	b := p.predictValid(ctx, userID, &r) // the same model predicts and explains
	e := Explanation{Prediction: r.Prediction}
	if r.Err != nil {
		return e, r.Err
	}
	var err error
	e.Contributions, e.Bias, err = b.explain(ctx, r.Row.Values)
	return e, err
}

// WhatIf is Explain for a row that change has modified: the user's row from the store,
// or, where change sets nothing, that row as it is. Change may be nil; it gets a copy,
// whose Values have the order of the store's features. The user's route answers. No
// logger is told, and nothing is stored. A row of another number of values is an
// ErrInvalidRequest.
func (p *Predictor) WhatIf(ctx context.Context, userID string, change func(*Row)) (Explanation, error) {
	e := Explanation{Prediction: Prediction{UserID: userID}}
	if fault := userIDFault(userID); fault != "" {
		return e, invalidUserID(fault)
	}
	b := p.routes.Load().choose(userID)
	e.Route, e.Model, e.ModelID, e.Features = b.name, b.text, b.id, p.features
	var err error
	if e.Row, err = p.row(ctx, userID); err != nil {
		return e, err
	}
	if change != nil {
		e.Row.Values = slices.Clone(e.Row.Values)
		change(&e.Row)
		if len(e.Row.Values) != len(p.features) {
			return e, fmt.Errorf("basket: %w: the changed row has %d values: want %d, %s", ErrInvalidRequest, len(e.Row.Values), len(p.features), quoted(p.features))
		}
	}
	if e.Value, err = b.predictOne(ctx, e.Row.Values); err != nil {
		return e, err
	}
	e.Contributions, e.Bias, err = b.explain(ctx, e.Row.Values)
	return e, err
}
