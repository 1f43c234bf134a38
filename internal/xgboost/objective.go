package xgboost

import (
	"fmt"
	"math"
	"strings"

	"github.com/basket-go/basket/internal/filetext"
	"github.com/basket-go/basket/internal/forest"
	"github.com/basket-go/basket/internal/libm"
)

// A rule is the conversions of an objective.
type rule struct {
	link forest.Link // from margins to predictions: ObjFunction::PredTransform

	// margin converts the base score to a margin and reports whether the score is
	// valid: ObjFunction::ProbToMargin. If nil, the score is a margin already.
	margin func(score float32) (float32, bool)
}

// rule returns the rule of d's objective: src/objective/*.cu, 3.2.0 and 3.4.1.
func (d *document) rule(outputs int, opt Options) (rule, error) {
	var r rule
	if err := filetext.CheckLabel(d.objective); err != nil {
		return r, fmt.Errorf("objective %s: %w", filetext.Quote(d.objective), err)
	}
	switch d.objective {
	case "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror",
		"reg:absoluteerror", "rank:pairwise", "rank:ndcg", "rank:map", "binary:logitraw":
	case "reg:logistic", "binary:logistic":
		r = rule{forest.LinkSigmoid32, d.logit}
	case "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft":
		r = rule{forest.LinkExp32, log}
	case "binary:hinge":
		r.link = forest.LinkPositive
	case "multi:softmax":
		r.link = forest.LinkArgmax
	case "multi:softprob":
		r.link = forest.LinkSoftmax32
	case "reg:quantileerror":
		// src/objective/quantile_obj.cu: 3.4.0 sorts, 3.3.0 does not yet.
		if !d.before(3, 4, 0) {
			r.link = forest.LinkSorted
		}
	case "reg:expectileerror": // 3.4 on
		if outputs > 1 {
			return r, fmt.Errorf("objective %s with %d outputs: only one is supported", d.objective, outputs)
		}
	default:
		if !opt.Margin {
			return r, fmt.Errorf("objective %s: not a known one; only its margins can be read", filetext.Quote(d.objective))
		}
	}
	return r, nil
}

func log(score float32) (float32, bool) { return libm.Log32(score), score > 0 }

// logit is LogisticRegression::ProbToMargin, src/objective/regression_loss.h.
// From 3.2.0 on, scores of 0 and 1 are valid and are clamped; 3.1.3 refuses them.
func (d *document) logit(score float32) (float32, bool) {
	ok := score > 0 && score < 1
	if !d.before(3, 2, 0) {
		const eps = 1e-6 // kRtEps
		ok = score >= 0 && score <= 1
		score = min(max(score, eps), 1-float32(eps))
	}
	return -libm.Log32(1/score - 1), ok
}

// margins returns the initial margin of each output.
func (d *document) margins(r rule, outputs int) ([]float64, error) {
	scores, err := d.baseScores(outputs)
	if err != nil {
		return nil, err
	}
	base := make([]float64, outputs)
	for k := range base {
		b := scores[min(k, len(scores)-1)]
		if d.marginBase && !strings.HasPrefix(d.objective, "multi:") {
			// Before 1.0 the file had the margin. LearnerIO::LoadModel of 2.0.3
			// converts it to a score, which then is converted back.
			one := []float64{float64(b)}
			r.link.Apply(one, 0)
			b = float32(one[0])
		}
		if r.margin != nil {
			m, ok := r.margin(b)
			if !ok {
				return nil, fmt.Errorf("base_score = %v: not a valid one for %s", b, d.objective)
			}
			b = m
		}
		base[k] = float64(b)
	}
	return base, nil
}

// baseScores returns one score, or one for each output. The file has "5E-1" or,
// from 3.1 on, "[5E-1,2.5E-1]".
func (d *document) baseScores(outputs int) ([]float32, error) {
	text := d.baseScore
	inner, ok := strings.CutPrefix(text, "[")
	if ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return nil, fmt.Errorf("base_score = %s: want a number or a list in brackets", filetext.Quote(d.baseScore))
		}
	}
	n := strings.Count(text, ",") + 1
	if n != 1 && n != outputs {
		return nil, fmt.Errorf("base_score: %d values: want 1, or one for each of %d outputs", n, outputs)
	}
	scores := make([]float32, 0, n)
	for word := range strings.SplitSeq(text, ",") {
		v, ok := parseFloat(word)
		if !ok || math.IsInf(float64(v), 0) || v != v {
			return nil, fmt.Errorf("base_score = %s: want a finite number", filetext.Quote(word))
		}
		scores = append(scores, v)
	}
	return scores, nil
}
