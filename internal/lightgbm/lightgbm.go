// Package lightgbm reads LightGBM's text models, as save_model writes them.
//
// The rules are those of LightGBM 4.7.0 (src/boosting/gbdt_model_text.cpp,
// src/io/tree.cpp, include/LightGBM/tree.h), which reads the files of its versions
// from 2.2 on (headers v2, v3 and v4) and treats them alike. Read returns an error
// for damaged files on which LightGBM crashes or guesses.
package lightgbm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/basket-go/basket/internal/filetext"
	"github.com/basket-go/basket/internal/forest"
)

// A File is the content of a model file. Version and Objective are printable;
// Names are as filetext.CheckNames wants them.
type File struct {
	Version   string   // "v4", say; empty if the file has none
	Objective string   // as written; empty for a custom objective
	Names     []string // of the features; nil if LightGBM generated them
	Forest    *forest.Forest
}

// Is reports whether data looks like a LightGBM text model.
func Is(data []byte) bool {
	first, _, _ := strings.Cut(string(data[:min(len(data), 64)]), "\n")
	return strings.TrimRight(first, "\r") == "tree"
}

// Options select how a file is read.
type Options struct {
	// Margin leaves out the objective's link, so that predictions are margins,
	// and accepts unknown objectives.
	Margin bool
}

// Read reads a model.
func Read(data []byte, opt Options) (*File, error) {
	r := reader{text: string(data)}
	h, err := r.header()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	file := &File{Version: h.version, Objective: h.objective, Names: h.names}
	if generated(h.names) {
		file.Names = nil
	}
	model := &forest.Model{Features: h.features, Base: make([]float64, h.perRound)}
	if err := h.setLink(model, opt); err != nil {
		return nil, fmt.Errorf("header: objective=%s: %w", filetext.Quote(h.objective), err)
	}
	// A tree has at least some 100 bytes, which bounds the allocation.
	model.Trees = make([]forest.Tree, 0, min(len(h.treeSizes), len(data)/100))
	for r.next() {
		if err := r.tree(model, h); err != nil {
			return nil, fmt.Errorf("tree %d: %w", len(model.Trees), err)
		}
	}
	n := len(model.Trees)
	switch {
	case h.treeSizes != nil && n != len(h.treeSizes):
		return nil, fmt.Errorf("%d trees: tree_sizes has %d values; the file is truncated or was edited", n, len(h.treeSizes))
	case !r.ended && (h.treeSizes == nil || !r.blank):
		return nil, fmt.Errorf("the file ends after %d trees without the line \"end of trees\"; it is truncated", n)
	case n == 0:
		return nil, errors.New("no trees")
	case n%h.perRound != 0:
		return nil, fmt.Errorf("%d trees: want a multiple of num_tree_per_iteration=%d", n, h.perRound)
	}
	if h.average && !opt.Margin {
		model.Average = n / h.perRound
	}
	file.Forest, err = forest.New(model)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// A reader reads a file line by line.
type reader struct {
	text  string // after line
	line  string // without its line ending
	blank bool   // line is empty and has a line ending
	ended bool   // the line "end of trees" was read
}

// scan moves to the next line.
func (r *reader) scan() bool {
	if r.text == "" {
		return false
	}
	line, rest, whole := strings.Cut(r.text, "\n")
	r.line, r.text = strings.TrimSuffix(line, "\r"), rest
	r.blank = whole && r.line == ""
	return true
}

// next skips lines up to the next "Tree=" and reports whether there is one before
// the end of the trees.
func (r *reader) next() bool {
	for {
		switch {
		case strings.HasPrefix(r.line, "Tree="):
			return true
		case strings.HasPrefix(r.line, "end of trees"):
			r.ended = true
			return false
		}
		if !r.scan() {
			return false
		}
	}
}

type header struct {
	version   string
	objective string
	features  int
	classes   int
	perRound  int // trees per boosting round, which is the number of margins
	names     []string
	treeSizes []string
	average   bool
}

// header reads up to the first line "Tree=", which is then r.line.
func (r *reader) header() (*header, error) {
	if !r.scan() || r.line != "tree" {
		return nil, errors.New("first line: want \"tree\"")
	}
	keys := map[string]string{}
	for r.scan() && !strings.HasPrefix(r.line, "Tree=") && !strings.HasPrefix(r.line, "end of trees") {
		// The key ends at the first "=", because names may hold more of them. The
		// line average_output has none.
		key, value, _ := strings.Cut(r.line, "=")
		keys[key] = value
	}
	h := &header{version: keys["version"], objective: keys["objective"]}
	switch h.version {
	case "", "v2", "v3", "v4": // LightGBM itself ignores the version
	default:
		return nil, fmt.Errorf("version=%s: want v2, v3 or v4", filetext.Quote(h.version))
	}
	_, h.average = keys["average_output"]
	var err error
	if h.classes, err = number(keys, "num_class", 1, forest.MaxOutputs); err != nil {
		return nil, err
	}
	h.perRound = h.classes
	if _, ok := keys["num_tree_per_iteration"]; ok {
		if h.perRound, err = number(keys, "num_tree_per_iteration", 1, forest.MaxOutputs); err != nil {
			return nil, err
		}
	}
	if h.features, err = number(keys, "max_feature_idx", 0, forest.MaxFeatures-1); err != nil {
		return nil, err
	}
	h.features++
	h.names = strings.Split(keys["feature_names"], " ")
	if len(h.names) != h.features {
		return nil, fmt.Errorf("feature_names: %d names: want max_feature_idx+1 = %d", len(h.names), h.features)
	}
	if err := filetext.CheckNames(h.names); err != nil {
		return nil, fmt.Errorf("feature_names: %w", err)
	}
	if sizes, ok := keys["tree_sizes"]; ok {
		h.treeSizes = strings.Fields(sizes)
	}
	return h, nil
}

// number returns a required whole number of the header.
func number(keys map[string]string, key string, low, high int) (int, error) {
	value, ok := keys[key]
	if !ok {
		return 0, fmt.Errorf("%s is missing", key)
	}
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%s=%s: want a whole number from %d to %d", key, filetext.Quote(value), low, high)
	}
	return n, nil
}

// generated reports whether names are those that LightGBM gives to unnamed
// columns.
func generated(names []string) bool {
	for i, name := range names {
		if name != "Column_"+strconv.Itoa(i) {
			return false
		}
	}
	return true
}
