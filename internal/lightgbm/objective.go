package lightgbm

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/basket-go/basket/internal/filetext"
	"github.com/basket-go/basket/internal/forest"
)

// setLink sets the link of the objective: ConvertOutput in src/objective/*.hpp. No
// objective line means a custom objective, for which LightGBM predicts margins.
func (h *header) setLink(m *forest.Model, opt Options) error {
	if err := filetext.CheckLabel(h.objective); err != nil {
		return err
	}
	if opt.Margin || h.objective == "" {
		return nil
	}
	words := strings.Fields(h.objective)
	if len(words) == 0 {
		return errors.New("want a name, or no such line")
	}
	name, parameters := words[0], words[1:]
	known := 0 // number of the objective's parameters
	var err error
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
		known, m.Link = 1, forest.LinkSigmoid
		m.Sigmoid, err = sigmoid(parameters, 0)
	case "multiclass":
		known, m.Link = 1, forest.LinkSoftmax
		err = h.checkClasses(parameters)
	case "multiclassova":
		known, m.Link = 2, forest.LinkSigmoid
		if err = h.checkClasses(parameters); err == nil {
			m.Sigmoid, err = sigmoid(parameters, 1)
		}
	default:
		err = errors.New("not an objective of LightGBM; only its margins can be read")
	}
	if err == nil && len(parameters) != known {
		err = fmt.Errorf("%d parameters: want %d", len(parameters), known)
	}
	return err
}

// sigmoid reads parameter i, "sigmoid:2.5".
func sigmoid(parameters []string, i int) (float64, error) {
	if i < len(parameters) {
		if value, ok := strings.CutPrefix(parameters[i], "sigmoid:"); ok {
			if p, ok := atof(value); ok && p > 0 && !math.IsInf(p, 0) {
				return p, nil
			}
		}
	}
	return 0, fmt.Errorf("parameter %d: want sigmoid:p, p a positive number", i)
}

// atof parses a positive number as Common::Atof does, with its rounding errors:
// 1.715 gives 1.7149999999999999 (include/LightGBM/utils/common.h, 4.7.0).
// LightGBM uses it for sigmoid, and exact parsers for the numbers of trees.
func atof(s string) (float64, bool) {
	digits := func() (v float64, n int) {
		for ; n < len(s) && s[n] >= '0' && s[n] <= '9'; n++ {
			v = float64(v*10) + float64(s[n]-'0')
		}
		s = s[n:]
		return v, n
	}
	value, whole := digits()
	fraction := 0
	if rest, ok := strings.CutPrefix(s, "."); ok {
		s = rest
		right, n := digits()
		value, fraction = value+right/math.Pow10(n), n
	}
	if rest, ok := strings.CutPrefix(s, "e"); ok {
		s = strings.TrimPrefix(rest, "+")
		rest, negative := strings.CutPrefix(s, "-")
		s = rest
		exponent, n := digits()
		if n == 0 || exponent > 300 {
			return 0, false
		}
		scale := math.Pow10(int(exponent))
		if negative {
			value /= scale
		} else {
			value = float64(value * scale)
		}
	}
	return value, whole+fraction > 0 && s == ""
}

// checkClasses checks the first parameter, "num_class:3".
func (h *header) checkClasses(parameters []string) error {
	if len(parameters) == 0 || parameters[0] != "num_class:"+strconv.Itoa(h.classes) || h.perRound != h.classes {
		return fmt.Errorf("want num_class:%d, equal to num_tree_per_iteration=%d", h.classes, h.perRound)
	}
	return nil
}
