// Package sklearn reads scikit-learn's regressors, saved with joblib or pickle: trees,
// forests, gradient boosting, linear models, and pipelines with the common
// transformers.
//
// The rules are those of scikit-learn 1.3 to 1.9; where they differ, the version in
// the file selects one. Package pickle decodes the file without executing any of it.
// This package walks over the objects and checks every attribute:
//
//	bytes -- pickle.Read --> objects -- regressor, transform --> Pipeline
//	                                       |
//	                                       +-- tree, hist --> forest.Model
//
// Forests and boosting predict the same bits as scikit-learn with one thread. Two kinds
// of results agree to a few ulps of the largest summand: linear models, because the
// order of BLAS's sums varies, and functions such as exp and log, because numpy's code
// for them depends on the CPU.
package sklearn

import (
	"errors"
	"fmt"

	"github.com/basket-go/basket/internal/filetext"
	"github.com/basket-go/basket/internal/forest"
	"github.com/basket-go/basket/internal/pickle"
)

// Limits, far above any real model.
const (
	maxNesting = 16      // nesting depth of pipelines and other steps
	maxOps     = 1 << 18 // operations on columns and on the target, in all
)

// A File is the content of a model file. Version and Estimator are printable; Names
// are as filetext.CheckNames wants them.
type File struct {
	Version   string   // of scikit-learn, "1.9.1", say; empty if the file has none
	Estimator string   // "RandomForestRegressor", say
	Names     []string // of the features; nil if the model was fitted without names

	Pipeline *Pipeline

	// Forest is the Pipeline's forest if there are no transformations before or
	// after it; else nil. Unlike the Pipeline it refuses no row.
	Forest *forest.Forest
}

// Options select how a file is read.
type Options struct {
	// Margin leaves out the link of a loss and the inverse transformation of a
	// TransformedTargetRegressor, so that predictions are margins.
	Margin bool
}

// Is reports whether data looks like a pickle or a compressed joblib file.
func Is(data []byte) bool { return pickle.Is(data) }

// Read reads a model.
func Read(data []byte, opt Options) (*File, error) {
	v, err := pickle.Read(data, globals)
	if err != nil {
		return nil, err
	}
	model, err := asObject(v)
	if err != nil {
		return nil, fmt.Errorf("the file holds %w", err)
	}
	file, err := read(model, opt)
	return file, filetext.Error(err) // nested steps make long errors
}

func read(model object, opt Options) (*File, error) {
	file := &File{Estimator: model.Name()}
	version, _ := model.Attr("_sklearn_version")
	file.Version, _ = version.(string)
	if err := filetext.CheckLabel(file.Version); err != nil {
		return nil, model.wrap(fmt.Errorf("_sklearn_version is %s: %w", filetext.Quote(file.Version), err))
	}
	r := &reader{opt: opt, seen: map[*pickle.Array]bool{}}
	features, names, err := r.inputs(model, 0)
	if err != nil {
		return nil, err
	}
	p := &Pipeline{features: features}
	if err := r.regressor(model, p, frame{width: features}, 0); err != nil {
		return nil, err
	}
	p.checks = r.checks
	if opt.Margin {
		p.target = nil
	}
	file.Pipeline, file.Names = p, names
	if p.columns == nil && p.target == nil {
		file.Forest = p.forest
	}
	return file, nil
}

// errNoSteps is the error of a Pipeline without steps that transform.
var errNoSteps = errors.New("no steps")

// inputs returns the number of features of a fitted estimator, and their names if it
// has them. Those of a Pipeline are those of the first step that is no passthrough.
func (r *reader) inputs(e object, depth int) (int, []string, error) {
	if err := r.count(1); err != nil {
		return 0, nil, err
	}
	switch {
	case depth > maxNesting:
		return 0, nil, fmt.Errorf("steps nested more than %d deep", maxNesting)
	case e.Name() == "TransformedTargetRegressor":
		regressor, err := e.object("regressor_")
		if err != nil {
			return 0, nil, e.wrap(err)
		}
		return r.inputs(regressor, depth+1)
	case e.Name() == "Pipeline":
		steps, err := e.list("steps")
		if err != nil {
			return 0, nil, e.wrap(err)
		}
		for _, v := range steps {
			if _, step, err := namedStep(v); err == nil {
				if first, err := asObject(step); err == nil {
					n, names, err := r.inputs(first, depth+1)
					if !errors.Is(err, errNoSteps) {
						return n, names, err
					}
				}
			}
		}
		return 0, nil, e.wrap(errNoSteps)
	}
	n, err := e.number("n_features_in_", 1, forest.MaxFeatures)
	if err != nil {
		return 0, nil, e.wrap(err)
	}
	if v, ok := e.Attr("feature_names_in_"); !ok || v == nil {
		return n, nil, nil
	}
	a, err := e.array("feature_names_in_")
	if err != nil {
		return 0, nil, e.wrap(err)
	}
	names, err := a.Strings()
	if err == nil && len(names) != n {
		err = fmt.Errorf("%d names: want n_features_in_ = %d", len(names), n)
	}
	if err == nil {
		err = filetext.CheckNames(names)
	}
	if err != nil {
		return 0, nil, e.wrap(fmt.Errorf("feature_names_in_: %w", err))
	}
	return n, names, nil
}

// A reader converts objects to a Pipeline.
type reader struct {
	opt    Options
	seen   map[*pickle.Array]bool // arrays of nodes that were read
	ops    int                    // number of operations so far
	checks []column
}

// regressor sets the model of p to the fitted regressor e, whose input is in.
func (r *reader) regressor(e object, p *Pipeline, in frame, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("steps nested more than %d deep", maxNesting)
	}
	name := e.Name()
	switch name {
	case "Pipeline":
		return r.pipeline(e, p, in, depth)
	case "TransformedTargetRegressor":
		return r.transformedTarget(e, p, in, depth)
	}
	n, err := e.number("n_features_in_", 1, forest.MaxFeatures)
	if err == nil && n != in.width {
		err = fmt.Errorf("n_features_in_ is %d: the input has %d columns", n, in.width)
	}
	if err == nil {
		switch name {
		case "DecisionTreeRegressor", "ExtraTreeRegressor":
			err = r.tree(e, p, n)
		case "RandomForestRegressor", "ExtraTreesRegressor":
			err = r.forest(e, p, n)
		case "GradientBoostingRegressor":
			err = r.boosting(e, p, n)
		case "HistGradientBoostingRegressor":
			in, err = r.hist(e, p, in, depth)
		case "LinearRegression", "Ridge", "Lasso", "ElasticNet":
			err = r.linear(e, p, n)
		default:
			err = errors.New("this regressor is not supported")
		}
	}
	if err != nil {
		return e.wrap(err)
	}
	p.columns = in.columns
	return nil
}

// linear follows linear_model/_base.py, LinearModel.
func (r *reader) linear(e object, p *Pipeline, features int) error {
	coef, err := e.array("coef_")
	if err != nil {
		return err
	}
	if coef.Len() != features {
		return fmt.Errorf("coef_: shape %v: want %d items; models of several outputs are not supported", coef.Shape, features)
	}
	if p.coef, err = e.floats("coef_", features); err != nil {
		return err
	}
	if p.intercept, err = e.float("intercept_"); err != nil {
		return err
	}
	p.accepts = finite
	return nil
}
