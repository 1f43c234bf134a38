package xgboost

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/basket-go/basket/internal/filetext"
)

// binaryMark is the first bytes of the deprecated binary format from 1.1 to 3.0.
const binaryMark = "binf"

// A binaryReader reads the deprecated binary format: XGBoost's structs as they are
// in memory, little-endian (LearnerIO::SaveModel of 1.7.6 and before,
// src/learner.cc).
type binaryReader struct {
	rest []byte
	at   int // offset of rest

	attributes bool // attributes follow the model
}

// The sizes of the structs.
const (
	learnerSize = 136 // LearnerModelParamLegacy
	gbtreeSize  = 160 // GBTreeModelParam
	linearSize  = 136 // GBLinearModelParam
	treeSize    = 148 // TreeParam
	nodeSize    = 20  // RegTree::Node
	statSize    = 16  // RTreeNodeStat
)

// next returns the next n bytes.
func (r *binaryReader) next(n int, what string) (record, error) {
	if n < 0 || n > len(r.rest) {
		return nil, fmt.Errorf("byte %d: %s of %d bytes: the file has %d left", r.at, what, n, len(r.rest))
	}
	b := record(r.rest[:n])
	r.rest, r.at = r.rest[n:], r.at+n
	return b, nil
}

// A record is the bytes of a struct whose fields have four bytes each.
type record []byte

func (b record) uint(i int) uint32   { return binary.LittleEndian.Uint32(b[4*i:]) }
func (b record) int(i int) int32     { return int32(b.uint(i)) }
func (b record) float(i int) float32 { return math.Float32frombits(b.uint(i)) }

// length reads the length of a vector or string whose elements have size bytes.
func (r *binaryReader) length(size int, what string) (int, error) {
	b, err := r.next(8, "length of "+what)
	if err != nil {
		return 0, err
	}
	if n := binary.LittleEndian.Uint64(b); n <= uint64(len(r.rest)/size) {
		return int(n), nil
	}
	return 0, fmt.Errorf("byte %d: %s of %d elements of %d bytes: the file has %d left", r.at-8, what, binary.LittleEndian.Uint64(b), size, len(r.rest))
}

func (r *binaryReader) text(what string) (string, error) {
	n, err := r.length(1, what)
	if err != nil {
		return "", err
	}
	b, err := r.next(n, what)
	return string(b), err
}

func (r *binaryReader) floats(what string) ([]float32, error) {
	n, err := r.length(4, what)
	if err != nil {
		return nil, err
	}
	b, err := r.next(4*n, what)
	if err != nil {
		return nil, err
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = b.float(i)
	}
	return values, nil
}

// header reads up to the booster's name and checks that name.
func (r *binaryReader) header() (*document, error) {
	if strings.HasPrefix(string(r.rest[:min(len(r.rest), len(binaryMark))]), binaryMark) {
		r.rest, r.at = r.rest[len(binaryMark):], len(binaryMark)
	}
	b, err := r.next(learnerSize, "header")
	if err != nil {
		return nil, err
	}
	d := &document{
		baseScore: strconv.FormatFloat(float64(b.float(0)), 'g', -1, 32),
		features:  int(b.uint(1)),
		classes:   int(b.int(2)),
		targets:   int(b.int(7)),
	}
	switch major, minor := b.uint(5), b.uint(6); {
	case major == 0: // versions before 1.0 have no such field
		d.marginBase = true
	case major <= 3:
		d.version = fmt.Sprintf("%d.%d", major, minor)
		d.release = [3]int{int(major), int(minor)}
	default:
		return nil, fmt.Errorf("version %d.%d: want 0.x to 3.x", major, minor)
	}
	if d.classes < 0 || d.targets < 0 {
		return nil, fmt.Errorf("num_class = %d, num_target = %d: want 0 or more", d.classes, d.targets)
	}
	if d.objective, err = r.text("objective"); err != nil {
		return nil, err
	}
	if d.booster, err = r.text("booster"); err != nil {
		return nil, err
	}
	switch d.booster {
	case "gbtree", "dart", "gblinear":
	default:
		return nil, fmt.Errorf("booster %s: want gbtree, dart or gblinear", filetext.Quote(d.booster))
	}
	r.attributes = b.int(3) != 0
	return d, nil
}

// document reads a file up to the attributes. Names of metrics may follow them.
func (r *binaryReader) document() (*document, error) {
	d, err := r.header()
	if err != nil {
		return nil, err
	}
	if d.booster == "gblinear" {
		if _, err := r.next(linearSize, "gblinear's header"); err != nil {
			return nil, err
		}
		if d.weights, err = r.floats("weights"); err != nil {
			return nil, err
		}
	} else if err := r.gbtree(d); err != nil {
		return nil, err
	}
	if !r.attributes {
		return d, nil
	}
	n, err := r.length(16, "attributes")
	if err != nil {
		return nil, err
	}
	for range n {
		key, err := r.text("attribute's name")
		if err != nil {
			return nil, err
		}
		value, err := r.text("attribute")
		if err != nil {
			return nil, err
		}
		if key == "best_iteration" {
			d.best = value
		}
	}
	return d, nil
}

// gbtree reads the model of gbtree and the weights of dart, which follow it.
func (r *binaryReader) gbtree(d *document) error {
	b, err := r.next(gbtreeSize, "gbtree's header")
	if err != nil {
		return err
	}
	n := int(b.int(0))
	d.numTrees, d.parallel = n, int(b.int(1)) // parallel: before 1.6 the number of roots, 1
	if n < 0 || n > len(r.rest)/treeSize {
		return fmt.Errorf("num_trees = %d: want 0 to %d, by the size of the file", n, len(r.rest)/treeSize)
	}
	if d.parallel < 0 || d.parallel > max(n, 1) {
		return fmt.Errorf("num_parallel_tree = %d: want 0 to num_trees = %d", d.parallel, n)
	}
	// From 1.0 on the number of outputs is 0 here.
	if groups := b.int(6); groups != 0 && int(groups) != max(d.classes, d.targets, 1) {
		return fmt.Errorf("num_output_group = %d: want %d, the number of classes", groups, max(d.classes, d.targets, 1))
	}
	d.trees = make([]*tree, n)
	for i := range d.trees {
		d.trees[i] = new(tree)
		if err := r.tree(d.trees[i]); err != nil {
			return fmt.Errorf("tree %d: %w", i, err)
		}
	}
	info, err := r.next(4*n, "tree_info")
	if err != nil {
		return err
	}
	d.group = make([]int32, n)
	for i := range d.group {
		d.group[i] = info.int(i)
	}
	if d.booster == "dart" && n > 0 {
		d.treeWeight, err = r.floats("weight_drop")
	}
	return err
}

func (r *binaryReader) tree(t *tree) error {
	b, err := r.next(treeSize, "tree's header")
	if err != nil {
		return err
	}
	n := int(b.int(1))
	t.nodes, t.deleted, t.vector = n, int(b.int(2)), int(b.int(5))
	if roots := b.int(0); roots != 1 {
		return fmt.Errorf("num_roots = %d: want 1", roots)
	}
	if n < 1 || n > len(r.rest)/(nodeSize+statSize) {
		return fmt.Errorf("num_nodes = %d: want 1 to %d, by the size of the file", n, len(r.rest)/(nodeSize+statSize))
	}
	nodes, err := r.next(n*nodeSize, "nodes")
	if err != nil {
		return err
	}
	stats, err := r.next(n*statSize, "statistics")
	if err != nil {
		return err
	}
	t.left, t.right, t.feature = make([]int32, n), make([]int32, n), make([]int32, n)
	t.condition, t.hessian, t.gain = make([]float32, n), make([]float32, n), make([]float32, n)
	t.defaultLeft = make([]bool, n)
	for i := range n {
		node := nodes[i*nodeSize:]
		t.left[i], t.right[i] = node.int(1), node.int(2)
		t.feature[i] = int32(node.uint(3) &^ (1 << 31))
		t.defaultLeft[i] = node.uint(3)>>31 != 0
		t.condition[i] = node.float(4)
		t.gain[i], t.hessian[i] = stats[i*statSize:].float(0), stats[i*statSize:].float(1)
	}
	return nil
}
