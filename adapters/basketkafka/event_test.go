package basketkafka

import (
	"testing"
	"time"

	"github.com/basket-go/basket"
)

func BenchmarkParse(b *testing.B) {
	id := "0cad47d6c469dc763adb1d206463099d94102e680eb2815de5d0ae055bdd72e2f2df884c327bfffbbefed72720bb6ec523e244912bf26aa78f5fe7d7ab893bc7"
	items := make([]int64, 12)
	for i := range items {
		items[i] = 33826459213956 + int64(i)
	}
	e := AppendEvent(nil, Event{basket.Order{UserID: id, OrderedAt: time.Date(2025, 1, 2, 3, 4, 5, 123456000, time.UTC), Items: items}, 123456})
	b.SetBytes(int64(len(e)))
	b.ReportAllocs()
	var p parser
	now := time.Now()
	for b.Loop() {
		if _, err := p.parse([]byte(id), e, now); err != nil {
			b.Fatal(err)
		}
	}
}
