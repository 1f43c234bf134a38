// Package xgboost reads XGBoost's models: JSON (1.0 on), UBJSON (1.6 on) and the
// deprecated binary format (0.90 to 3.0).
//
// The rules are those of XGBoost 3.2.0 (src/learner.cc, src/gbm/gbtree_model.cc,
// src/tree/tree_model.cc, src/predictor/cpu_predictor.cc, src/gbm/gblinear.cc), or
// of another version where a comment names it. Where versions differ, a file is read
// by the rule of the version that wrote it: for the base score (logit), numbers that
// are no category (categories) and several quantiles (rule). Two rules of versions
// before 1.6 are replaced by those of 1.6 to 2.1, which read the same files: trees
// are added to the base score, which before 1.3 was added last; and a margin below
// -88.7 gives a positive sigmoid, which before 1.6 was zero. Read returns an error
// for damaged files on which XGBoost crashes or guesses.
//
// The formats have the same content. Each is decoded into a document, and the steps
// after that are common:
//
//	JSON ---- jsonReader --+
//	                       +-- source -- decode --+
//	UBJSON -- ubjReader ---+                      +-- document -- lower -- File
//	binary -- binaryReader -----------------------+
package xgboost

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/basket-go/basket/internal/filetext"
	"github.com/basket-go/basket/internal/forest"
)

// A File is the content of a model file. One of Forest and Linear is not nil.
// Version and Objective are printable; Names are as filetext.CheckNames wants them.
type File struct {
	Format    string   // "json", "ubjson" or "binary"
	Version   string   // of XGBoost: "3.2.0", say, or "1.7" in the binary format; empty if the file has none
	Objective string   // as written
	Names     []string // of the features; nil if the file has none or XGBoost generated them
	Forest    *forest.Forest
	Linear    *Linear // the model of the booster gblinear
}

// Options select how a file is read.
type Options struct {
	// Margin leaves out the objective's link, so that predictions are margins,
	// and accepts unknown objectives, whose base score is read as a margin.
	Margin bool

	// BestIteration uses the rounds up to the best one if the model was trained
	// with early stopping, as XGBoost's scikit-learn classes do. Otherwise all
	// trees are used, as its Booster does.
	BestIteration bool
}

// maxSize bounds a file. Real ones have less than a hundredth of it.
const maxSize = 1 << 30

// Is reports whether data looks like an XGBoost model.
func Is(data []byte) bool { return format(data) != "" }

// Read reads a model.
func Read(data []byte, opt Options) (*File, error) {
	d, name, err := parse(data)
	if err != nil {
		return nil, err
	}
	f, err := d.lower(opt)
	if err != nil {
		return nil, err
	}
	f.Format = name
	return f, nil
}

// parse decodes a document and returns its format.
func parse(data []byte) (*document, string, error) {
	if len(data) > maxSize {
		return nil, "", fmt.Errorf("a file of %d bytes: want at most %d", len(data), maxSize)
	}
	var d *document
	var err error
	name := format(data)
	switch name {
	case "json":
		d, err = decode(&jsonReader{data: string(data)})
	case "ubjson":
		d, err = decode(&ubjReader{data: string(data)})
	case "binary":
		r := binaryReader{rest: data}
		d, err = r.document()
	default:
		err = fmt.Errorf("first bytes %q: want those of JSON, UBJSON or XGBoost's deprecated binary format", data[:min(len(data), 8)])
	}
	return d, name, err
}

// format detects the format as LearnerIO::LoadModel of 2.0.3 does: a quote follows
// the brace in JSON, the marker of a length in UBJSON. Old binary files start with
// no mark, but their header is followed by the names of objective and booster.
func format(data []byte) string {
	switch {
	case len(data) < 2:
		return ""
	case data[0] == '{':
		switch data[1] {
		case 'i', 'U', 'I', 'l', 'L':
			return "ubjson"
		}
		if rest := bytes.TrimLeft(data[1:], " \t\r\n"); len(rest) > 0 && rest[0] == '"' {
			return "json"
		}
		return ""
	case string(data[:min(len(data), len(binaryMark))]) == binaryMark:
		return "binary"
	}
	r := binaryReader{rest: data}
	if _, err := r.header(); err == nil {
		return "binary"
	}
	return ""
}

// lower checks and converts d.
func (d *document) lower(opt Options) (*File, error) {
	f := &File{Version: d.version, Objective: strings.Clone(d.objective)} // d has parts of the file in memory
	if d.features < 1 || d.features > forest.MaxFeatures {
		return nil, fmt.Errorf("num_feature = %d: want 1 to %d", d.features, forest.MaxFeatures)
	}
	if n := len(d.names.ends); n > 0 && n != d.features {
		return nil, fmt.Errorf("feature_names: %d names: want num_feature = %d", n, d.features)
	}
	if names := d.names.strings(); !generated(names) {
		f.Names = names
	}
	if err := filetext.CheckNames(f.Names); err != nil {
		return nil, fmt.Errorf("feature_names: %w", err)
	}
	outputs := max(d.classes, d.targets, 1)
	if outputs > forest.MaxOutputs {
		return nil, fmt.Errorf("%d outputs: want 1 to %d", outputs, forest.MaxOutputs)
	}
	rule, err := d.rule(outputs, opt)
	if err != nil {
		return nil, err
	}
	link := rule.link
	if opt.Margin {
		link = forest.LinkIdentity
	}
	base, err := d.margins(rule, outputs)
	if err != nil {
		return nil, err
	}
	switch d.booster {
	case "gblinear":
		f.Linear, err = d.linear(base, link)
	case "gbtree", "dart":
		f.Forest, err = d.forest(base, link, opt)
	default:
		err = fmt.Errorf("booster %s: want gbtree, dart or gblinear", filetext.Quote(d.booster))
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// forest converts d's trees. What XGBoost predicts without any depends on its
// version (LearnerConfiguration::InitModelUserParam, src/learner.cc, 3.2.0).
func (d *document) forest(base []float64, link forest.Link, opt Options) (*forest.Forest, error) {
	n := len(d.trees)
	switch {
	case n == 0:
		return nil, errors.New("no trees: the model was not trained")
	case d.numTrees != n:
		return nil, fmt.Errorf("%d trees: num_trees is %d", n, d.numTrees)
	case len(d.group) != n:
		return nil, fmt.Errorf("tree_info: %d values: want num_trees = %d", len(d.group), n)
	case len(d.treeWeight) != n && (len(d.treeWeight) > 0 || d.booster == "dart"):
		return nil, fmt.Errorf("weight_drop: %d values: want num_trees = %d", len(d.treeWeight), n)
	}
	if err := d.checkRounds(); err != nil {
		return nil, err
	}
	use := n
	if opt.BestIteration && d.best != "" {
		var err error
		if use, err = d.bestTrees(len(base)); err != nil {
			return nil, err
		}
	}
	m := &forest.Model{Features: d.features, Base: base, Sum32: true, Link: link, Trees: make([]forest.Tree, use)}
	for i := range m.Trees {
		if k := d.group[i]; k < 0 || int(k) >= len(base) {
			return nil, fmt.Errorf("tree_info[%d] = %d: want 0 to %d", i, k, len(base)-1)
		}
		weight := float32(1)
		if len(d.treeWeight) > 0 {
			weight = d.treeWeight[i]
		}
		t, err := d.trees[i].lower(d, weight)
		if err != nil {
			return nil, fmt.Errorf("tree %d: %w", i, err)
		}
		t.Output = int(d.group[i])
		m.Trees[i] = t
		d.trees[i] = nil // frees its memory
	}
	return forest.New(m)
}

// checkRounds checks iteration_indptr, the index of the first tree of each boosting
// round (GBTreeModel, from 2.0 on).
func (d *document) checkRounds() error {
	if d.rounds == nil {
		return nil
	}
	for i, at := range d.rounds {
		last := int32(0)
		if i > 0 {
			last = d.rounds[i-1]
		}
		if at < last || i == 0 && at != 0 {
			return fmt.Errorf("iteration_indptr[%d] = %d: want ascending values that start at 0", i, at)
		}
	}
	if last := int(d.rounds[len(d.rounds)-1]); last != len(d.trees) {
		return fmt.Errorf("iteration_indptr ends at %d: want num_trees = %d", last, len(d.trees))
	}
	return nil
}

// bestTrees returns the number of trees in the rounds up to the best one, which the
// scikit-learn classes use (python-package/xgboost/sklearn.py,
// _get_iteration_range).
func (d *document) bestTrees(outputs int) (int, error) {
	perRound := int64(max(d.parallel, 1)) * int64(outputs)
	rounds := int(int64(len(d.trees)) / perRound)
	if d.rounds != nil {
		rounds = len(d.rounds) - 1
	}
	best, err := strconv.Atoi(d.best)
	if err != nil || best < 0 || best >= rounds {
		return 0, fmt.Errorf("best_iteration = %s: want a number below %d, the number of rounds", filetext.Quote(d.best), rounds)
	}
	if d.rounds != nil {
		return int(d.rounds[best+1]), nil
	}
	return (best + 1) * int(perRound), nil
}

// linear converts d's weights: a row for each feature, then one for the bias.
func (d *document) linear(base []float64, link forest.Link) (*Linear, error) {
	want := int64(d.features+1) * int64(len(base))
	if int64(len(d.weights)) != want {
		return nil, fmt.Errorf("weights: %d values: want %d, one for each of %d features and the bias, for %d outputs",
			len(d.weights), want, d.features, len(base))
	}
	l := &Linear{features: d.features, weights: d.weights, start: make([]float32, len(base)), link: link}
	for k, bias := range d.weights[d.features*len(base):] {
		// All outputs start from the base score of the first one, even if the file
		// has one for each (src/gbm/gblinear.cc, PredictBatchInternal, 3.1.1 to 3.4.1).
		l.start[k] = bias + float32(base[0])
	}
	return l, nil
}

// generated reports whether names are those that XGBoost once gave to unnamed
// columns.
func generated(names []string) bool {
	for i, name := range names {
		if name != "f"+strconv.Itoa(i) {
			return false
		}
	}
	return true
}
