package lightgbm

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/basket-go/basket/internal/forest"
)

// setLink sets the link that the objective's line stands for: the ConvertOutput
// of src/objective/*.hpp. A line that is not there is a custom objective, for
// which LightGBM's predictions are margins.
func (h *header) setLink(m *forest.Model, opt Options) error {
	if opt.Margin || h.objective == "" {
		return nil
	}
	words := strings.Fields(h.objective)
	if len(words) == 0 {
		return errors.New("want a name, or no such line")
	}
	name, parameters := words[0], words[1:]
	known := 0 // parameters that the objective takes
	switch name {
	case "regression", "regression_l1", "huber", "fair", "quantile", "mape":
		if len(parameters) > 0 && parameters[0] == "sqrt" {
			known = 1
			m.Link = forest.LinkSignedSquare
		}
	case "lambdarank", "rank_xendcg":
	case "poisson", "gamma", "tweedie":
		m.Link = forest.LinkExp
	case "cross_entropy", "xentropy":
		m.Link, m.Sigmoid = forest.LinkSigmoid, 1
	case "cross_entropy_lambda", "xentlambda":
		m.Link = forest.LinkLog1pExp
	case "binary":
		known = 1
		m.Link = forest.LinkSigmoid
		p, err := sigmoid(parameters, 0)
		if err != nil {
			return err
		}
		m.Sigmoid = p
	case "multiclass":
		known = 1
		m.Link = forest.LinkSoftmax
		if err := h.sameClasses(parameters); err != nil {
			return err
		}
	case "multiclassova":
		known = 2
		m.Link = forest.LinkSigmoid
		if err := h.sameClasses(parameters); err != nil {
			return err
		}
		p, err := sigmoid(parameters, 1)
		if err != nil {
			return err
		}
		m.Sigmoid = p
	default:
		return errors.New("not an objective that LightGBM ships; ask for margins to read the model without it")
	}
	if len(parameters) != known {
		return fmt.Errorf("%d parameters: want %d", len(parameters), known)
	}
	return nil
}

// sigmoid reads parameter i, "sigmoid:2.5".
func sigmoid(parameters []string, i int) (float64, error) {
	if i < len(parameters) {
		if value, ok := strings.CutPrefix(parameters[i], "sigmoid:"); ok {
			p, err := strconv.ParseFloat(value, 64)
			if err == nil && p > 0 && !math.IsInf(p, 0) {
				return p, nil
			}
		}
	}
	return 0, fmt.Errorf("parameter %d: want sigmoid:p, p a positive number", i)
}

// sameClasses checks the first parameter, "num_class:3".
func (h *header) sameClasses(parameters []string) error {
	if len(parameters) == 0 || parameters[0] != "num_class:"+strconv.Itoa(h.classes) || h.perRound != h.classes {
		return fmt.Errorf("want num_class:%d, as many as num_tree_per_iteration=%d", h.classes, h.perRound)
	}
	return nil
}
