package dash

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/basket-go/basket"
)

// maxNodes is how many nodes of a tree are drawn, from the root down.
const maxNodes = 500

// A treeState is a tree of the model of a route or of a version, and the path of a user's
// row.
type treeState struct {
	Route   string     `json:"route,omitempty"`
	Version string     `json:"version,omitempty"` // without a route
	Model   string     `json:"model"`
	Trees   int        `json:"trees"`
	Number  int        `json:"number"`
	Output  int        `json:"output"`
	Total   int        `json:"total_nodes"`
	Nodes   []treeNode `json:"nodes"` // breadth first, those that are drawn
	UserID  string     `json:"user_id,omitempty"`
	Path    []pathStep `json:"path,omitempty"` // from the root to the leaf, whole
	Detail  string     `json:"detail,omitempty"`

	choices []treeChoice
	chosen  treeChoice
	notes   []note
	status  int
}

type treeNode struct {
	Leaf  bool   `json:"leaf"`
	Value number `json:"value"` // of a leaf; else null
	Name  string `json:"feature,omitempty"`
	Rule  string `json:"rule"` // rows go left for which it is true; the value of a leaf
	Left  int    `json:"left,omitempty"`
	Right int    `json:"right,omitempty"`
	Cover number `json:"cover"` // null if it is not recorded
	Gain  number `json:"gain"`

	test string // the rule without the feature, in few characters
}

// A pathStep is a node that a row goes through.
type pathStep struct {
	Node  int    `json:"node"`
	Name  string `json:"feature,omitempty"`
	Value number `json:"value"` // of the row's feature, null if it is missing; of a leaf, what it adds
	Rule  string `json:"rule"`
	Left  bool   `json:"left"`
	Leaf  bool   `json:"leaf"`
}

// tree finds the tree that a request asks for.
func (h *handler) tree(r *http.Request) *treeState {
	s := &treeState{status: http.StatusOK}
	if len(r.URL.RawQuery) > maxQuery {
		s.status, s.notes = http.StatusRequestURITooLong, []note{{Before: "The address is too long."}}
		return s
	}
	query := r.URL.Query()
	if !h.chooseModel(s, query) {
		return s
	}
	model := s.chosen.model
	s.Model, s.Trees = model.String(), model.Info().Trees
	if s.Trees == 0 {
		s.notes = append(s.notes, note{"The model ", s.Model, " has no trees: it is a linear function. The page Explain shows what each feature adds."})
		return s
	}
	number, err := 0, error(nil)
	if text := query.Get("number"); text != "" {
		number, err = strconv.Atoi(text)
	}
	tree, ok := model.Tree(number)
	if err != nil || !ok {
		s.status = http.StatusNotFound
		s.notes = append(s.notes, note{"There is no tree ", query.Get("number"), fmt.Sprintf(" in this model: choose one from 0 to %d.", s.Trees-1)})
		return s
	}
	s.Number, s.Output, s.Total = tree.Number, tree.Output, tree.Len()
	features := model.Features()
	for i := range min(s.Total, maxNodes) {
		s.Nodes = append(s.Nodes, newTreeNode(tree.Node(i), features))
	}
	if s.UserID = query.Get("user"); s.UserID != "" {
		h.addPath(r, s, model, tree)
	}
	return s
}

func newTreeNode(n basket.TreeNode, features []string) treeNode {
	node := treeNode{Leaf: n.Leaf, Value: number(math.NaN()), Rule: n.Rule(features), Cover: number(n.Cover), Gain: number(n.Gain)}
	if n.Leaf {
		node.Value = number(n.Value)
		return node
	}
	node.Left, node.Right = n.Left, n.Right
	if n.Feature < len(features) {
		node.Name = features[n.Feature]
	}
	node.test = strings.TrimPrefix(node.Rule, node.Name)
	if !math.IsNaN(n.Threshold) {
		node.test = "<= " + short(number(n.Threshold))
		if n.MissingLeft {
			node.test += " or missing"
		}
	}
	return node
}

// addPath adds the path of the user's row.
func (h *handler) addPath(r *http.Request, s *treeState, model *basket.FileModel, tree basket.Tree) {
	x, err := h.p.WhatIf(r.Context(), s.UserID, nil)
	if len(x.Row.Values) == 0 {
		status, text := faultOf(err, s.UserID)
		s.status, s.notes = status, append(s.notes, text)
		return
	}
	features := model.Features()
	row := make([]float64, len(features))
	for j, name := range features {
		if k := slices.Index(x.Features, name); k >= 0 && k < len(x.Row.Values) {
			row[j] = x.Row.Values[k]
		} else {
			s.notes = append(s.notes, note{"The store has no feature ", name, ", which this model wants, so there is no path. Choose a model of the store's features."})
			return
		}
	}
	path, err := tree.Path(row)
	if err != nil {
		s.notes = append(s.notes, note{"The model refuses the row of the user ", s.UserID, ", so there is no path."})
		return
	}
	for i, k := range path {
		n := tree.Node(k)
		node := newTreeNode(n, features)
		step := pathStep{Node: k, Name: node.Name, Value: node.Value, Rule: node.Rule, Leaf: n.Leaf}
		if !n.Leaf {
			step.Value, step.Left = number(row[n.Feature]), path[i+1] == n.Left
		}
		s.Path = append(s.Path, step)
	}
	switch {
	case s.Version == "" && x.Route != s.Route:
		s.notes = append(s.notes, note{"The route of this user is ", x.Route, ": this tree is of another one."})
	case s.Version != "" && x.Model != s.Model:
		s.notes = append(s.notes, note{"The model of this user is ", x.Model, ": this tree is of another one."})
	}
}

func (h *handler) treeData(r *http.Request) (int, any) {
	s := h.tree(r)
	s.Detail = sentences(s.notes)
	return s.status, s
}

// A treeBody is what the page shows.
type treeBody struct {
	*treeState
	Asked         string // the number, as it was asked for
	Boxes         []box
	Edges         []edge
	Width, Height int
	Last          int // number of the last tree
}

// A box is a node of the picture.
type box struct {
	X, Y, Width, Middle int
	Class               string
	First, Second       string // lines
	Title               string
}

// An edge leads from a box to one below it.
type edge struct {
	X1, Y1, X2, Y2 int
	Class          string
}

// Sizes of the picture of a tree, in pixels of a screen that does not scale it.
const (
	boxWidth, boxHeight   = 180, 44
	leafWidth             = 84
	columnWide, levelHigh = 96, 84
	pictureEdge           = 12
)

func (h *handler) treePage(r *http.Request) *page {
	s := h.tree(r)
	query := r.URL.Query()
	body := &treeBody{treeState: s, Asked: query.Get("number"), Last: s.Trees - 1}
	body.UserID = query.Get("user")
	if body.Asked == "" {
		body.Asked = "0"
	}
	if len(s.Nodes) > 0 {
		body.draw()
	}
	return &page{Status: s.status, Path: "/tree", Title: "Trees", Notes: s.notes, Body: body}
}

// draw places the boxes: leaves and the splits that are cut off side by side, and each
// other split in the middle above its two.
func (b *treeBody) draw() {
	n := len(b.Nodes)
	x, level := make([]int, n), make([]int, n)
	onPath := make([]bool, n)
	for _, step := range b.Path {
		if step.Node < n {
			onPath[step.Node] = true
		}
	}
	next, deepest := 0, 0
	var place func(i, depth int)
	place = func(i, depth int) { // at most maxNodes deep
		level[i], deepest = depth, max(deepest, depth)
		node := &b.Nodes[i]
		if node.Leaf || node.Left >= n {
			wide := columnWide
			if !node.Leaf {
				wide = boxWidth + pictureEdge
			}
			x[i] = next + wide/2
			next += wide
			return
		}
		place(node.Left, depth+1)
		if node.Right >= n {
			x[i] = x[node.Left]
			return
		}
		place(node.Right, depth+1)
		x[i] = (x[node.Left] + x[node.Right]) / 2
	}
	place(0, 0)
	b.Width, b.Height = max(next, boxWidth)+2*boxWidth/2, (deepest+1)*levelHigh
	for i := range b.Nodes {
		node := &b.Nodes[i]
		wide := boxWidth
		if node.Leaf {
			wide = leafWidth
		}
		one := box{X: x[i] + boxWidth/2 - wide/2, Y: level[i]*levelHigh + pictureEdge, Width: wide, Middle: x[i] + boxWidth/2, Class: "node", Title: node.title()}
		one.First, one.Second = node.lines()
		if node.Leaf {
			one.Class = "node leaf"
		}
		if onPath[i] {
			one.Class += " path"
		}
		b.Boxes = append(b.Boxes, one)
		for _, child := range []int{node.Left, node.Right} {
			if node.Leaf || child >= n {
				continue
			}
			e := edge{X1: one.Middle, Y1: one.Y + boxHeight, X2: x[child] + boxWidth/2, Y2: level[child]*levelHigh + pictureEdge, Class: "edge"}
			if onPath[i] && onPath[child] {
				e.Class = "edge path"
			}
			b.Edges = append(b.Edges, e)
		}
	}
}

// lines returns the two lines of a box.
func (n *treeNode) lines() (first, second string) {
	if n.Leaf {
		return "adds", amount(n.Value)
	}
	return clip(n.Name, 22), clip(strings.TrimSpace(n.test), 22)
}

// title says all of a node.
func (n *treeNode) title() string {
	text := clip(n.Rule, 200)
	if !n.Cover.missing() {
		text += "; training rows " + short(n.Cover)
	}
	if !n.Gain.missing() {
		text += "; gain " + short(n.Gain)
	}
	return text
}

// clip returns at most so many characters of a text for a picture, in which nothing can be
// isolated by markup: characters that have no picture become their numbers.
func clip(s string, most int) string {
	var b strings.Builder
	for i, r := range []rune(strings.ToValidUTF8(s, "\ufffd")) {
		if i == most-1 {
			b.WriteString("…")
			break
		}
		if hidden(r) {
			fmt.Fprintf(&b, "%U", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// hidden reports whether a character has no picture, or turns the direction of writing.
func hidden(r rune) bool { return r != ' ' && (!unicode.IsGraphic(r) || unicode.Is(unicode.Zs, r)) }

// Words says where a row goes from the node.
func (p pathStep) Words() string {
	value := " = " + short(p.Value)
	if p.Value.missing() {
		value = " is missing"
	}
	if p.Left {
		return value + ": the test is true, so it goes left"
	}
	return value + ": the test is false, so it goes right"
}

// Routes are those that can be chosen.
func (b *treeBody) Routes() []treeChoice {
	return b.choices[:len(b.choices)-len(b.Versions())]
}

// Versions are those that can be chosen.
func (b *treeBody) Versions() []treeChoice {
	i := slices.IndexFunc(b.choices, func(c treeChoice) bool { return c.Version != "" })
	if i < 0 {
		return nil
	}
	return b.choices[i:]
}

// Param is what is shown, as a parameter of a request.
func (b *treeBody) Param() string { return b.chosen.Param() }

// Cut reports whether some nodes are not drawn.
func (b *treeBody) Cut() bool { return len(b.Nodes) < b.Total }

// Before is the number of the tree before.
func (b *treeBody) Before() int { return b.Number - 1 }

// After is the number of the next tree.
func (b *treeBody) After() int { return b.Number + 1 }

// Line1 is where the first line of a box is written.
func (b box) Line1() int { return b.Y + 18 }

// Line2 is where the second line of a box is written.
func (b box) Line2() int { return b.Y + 35 }
