package sklearn

import (
	"errors"
	"fmt"
	"slices"

	"github.com/basket-go/basket/internal/pickle"
)

// transformedTarget reads a regressor of a transformed target, and the inverse
// transformation: compose/_target.py, TransformedTargetRegressor.predict.
func (r *reader) transformedTarget(e object, p *Pipeline, in frame, depth int) error {
	regressor, err := e.object("regressor_")
	if err != nil {
		return e.wrap(err)
	}
	if err := r.regressor(regressor, p, in, depth+1); err != nil {
		return e.wrap(fmt.Errorf("regressor_: %w", err))
	}
	transformer, err := e.object("transformer_")
	if err != nil {
		return e.wrap(err)
	}
	ops, err := r.inverse(transformer, depth+1)
	if err != nil {
		return e.wrap(fmt.Errorf("transformer_: %w", err))
	}
	if p.target = append(p.target, ops...); len(p.target) > maxOps {
		return e.wrap(fmt.Errorf("more than %d operations", maxOps))
	}
	return nil
}

// inverse returns the operations of a transformer's inverse_transform.
func (r *reader) inverse(e object, depth int) ([]op, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("steps nested more than %d deep", maxNesting)
	}
	if err := r.count(1); err != nil {
		return nil, err
	}
	var ops []op
	var err error
	switch e.Name() {
	case "Pipeline":
		ops, err = r.inverses(e, depth)
	case "FunctionTransformer":
		ops, err = functionOps(e, "inverse_func", "inv_kw_args")
	case "StandardScaler":
		var mean, deviation []float64
		mean, deviation, err = meanAndDeviation(e, 1)
		ops = append(ops, check(noInf))
		if deviation != nil {
			ops = append(ops, op{kind: opMultiply, a: deviation[0]})
		}
		if mean != nil {
			ops = append(ops, op{kind: opAdd, a: mean[0]})
		}
	case "MinMaxScaler":
		var scale, low float64
		scale, err = e.float("scale_")
		if err == nil {
			low, err = e.float("min_")
		}
		ops = append(ops, check(noInf), op{kind: opSubtract, a: low}, op{kind: opDivide, a: scale})
	default:
		err = errors.New("this transformer of a target is not supported")
	}
	if err != nil {
		return nil, e.wrap(err)
	}
	return ops, nil
}

// inverses inverts the steps of a Pipeline, the last one first.
func (r *reader) inverses(e object, depth int) ([]op, error) {
	steps, err := e.list("steps")
	if err != nil {
		return nil, err
	}
	var ops []op
	for _, v := range slices.Backward(steps) {
		name, step, err := namedStep(v)
		if err != nil {
			return nil, err
		}
		if step == nil || step == pickle.Value("passthrough") {
			continue
		}
		var more []op
		transformer, err := asObject(step)
		if err == nil {
			more, err = r.inverse(transformer, depth+1)
		}
		if err == nil {
			err = r.count(len(more))
		}
		if err != nil {
			return nil, fmt.Errorf("step %s: %w", name, err)
		}
		ops = append(ops, more...)
	}
	return ops, nil
}
