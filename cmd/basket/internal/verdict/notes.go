package verdict

import (
	"fmt"
	"time"
)

// notes tells what may deceive the reader of a report.
func (l *Log) notes(order []int) []string {
	var notes []string
	base := l.routes[order[0]]
	for i, route := range order {
		r := l.routes[route]
		if n := len(r.models); n > 1 {
			more := ""
			if r.moreModels {
				more = "more than "
			}
			notes = append(notes, fmt.Sprintf("route %.64q had %s%d models in turn: --since and --until select the time of one", r.name, more, n))
		}
		if r.shadows > 0 && !r.shadow() {
			notes = append(notes, fmt.Sprintf("route %.64q was a shadow for %d of its %d predictions: --since and --until select a time", r.name, r.shadows, r.predictions))
		}
		if i > 0 && min(r.predictions, base.predictions) >= 100 && overlap(base, r) < 0.9 {
			notes = append(notes, fmt.Sprintf("routes %.64q and %.64q were not served at the same time throughout: users and seasons may differ; --since and --until select a common time", base.name, r.name))
		}
	}
	if n := l.inSeveral(); n > 0 {
		notes = append(notes, fmt.Sprintf("%d users were answered by several routes: the weights have changed, or the log is of several experiments", n))
	}
	return notes
}

// overlap is the share of the time in which a or b predicted that both did.
func overlap(a, b *routeLog) float64 {
	first, last := a.first, a.last
	common := [2]time.Time{a.first, a.last}
	if b.first.Before(first) {
		first = b.first
	} else {
		common[0] = b.first
	}
	if b.last.After(last) {
		last = b.last
	} else {
		common[1] = b.last
	}
	if !last.After(first) {
		return 1
	}
	return float64(common[1].Sub(common[0])) / float64(last.Sub(first))
}

// inSeveral returns how many users several routes answered.
func (l *Log) inSeveral() int {
	n := 0
	for i := range l.users {
		answered := 0
		for _, c := range l.users[i].cells {
			if c.predictions > 0 && !l.routes[c.route].shadow() {
				answered++
			}
		}
		if answered > 1 {
			n++
		}
	}
	return n
}
