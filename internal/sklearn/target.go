package sklearn

import (
	"errors"
	"fmt"
	"slices"

	"github.com/basket-go/basket/internal/pickle"
)

// transformedTarget reads a regressor whose target was transformed, and the way
// back: compose/_target.py, TransformedTargetRegressor.predict.
func (r *reader) transformedTarget(e part, p *Pipeline, in frame, depth int) error {
	regressor, err := e.object("regressor_")
	if err != nil {
		return e.in(err)
	}
	if err := r.regressor(regressor, p, in, depth+1); err != nil {
		return e.in(fmt.Errorf("regressor_: %w", err))
	}
	transformer, err := e.object("transformer_")
	if err != nil {
		return e.in(err)
	}
	ops, err := r.inverse(transformer, depth+1)
	if err != nil {
		return e.in(fmt.Errorf("transformer_: %w", err))
	}
	if p.target = append(p.target, ops...); len(p.target) > maxOps {
		return e.in(fmt.Errorf("more than %d operations on the target", maxOps))
	}
	return nil
}

// inverse returns what a transformer's inverse_transform does to a column.
func (r *reader) inverse(e part, depth int) ([]op, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("steps more than %d deep", maxNesting)
	}
	if r.ops++; r.ops > maxOps {
		return nil, fmt.Errorf("more than %d operations on the target", maxOps)
	}
	var ops []op
	var err error
	switch e.Name() {
	case "Pipeline":
		ops, err = r.inverses(e, depth)
	case "FunctionTransformer":
		ops, err = functionOps(e, "inverse_func", "inv_kw_args")
	case "StandardScaler":
		mean, deviation, failed := standard(e, 1)
		ops, err = append(ops, check(noInf)), failed
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
		err = errors.New("not a transformer of a target that is read")
	}
	if err != nil {
		return nil, e.in(err)
	}
	return ops, nil
}

// inverses goes back through the steps of a Pipeline.
func (r *reader) inverses(e part, depth int) ([]op, error) {
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
		transformer, err := asPart(step)
		if err != nil {
			return nil, fmt.Errorf("step %s: %w", name, err)
		}
		more, err := r.inverse(transformer, depth+1)
		if err != nil {
			return nil, fmt.Errorf("step %s: %w", name, err)
		}
		if r.ops += len(more); r.ops > maxOps {
			return nil, fmt.Errorf("more than %d operations on the target", maxOps)
		}
		ops = append(ops, more...)
	}
	return ops, nil
}
