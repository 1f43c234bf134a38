package serve

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadlineContext: whatever is asked first, the context is done at the deadline or
// with its parent, and says so in every way.
func TestDeadlineContext(t *testing.T) {
	type key struct{}
	for _, first := range []string{"nothing", "Done", "Err", "child", "AfterFunc"} {
		for _, end := range []string{"deadline", "parent", "stop"} {
			t.Run(first+", "+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
					defer cancel()
					c := &deadlineContext{Context: parent, deadline: time.Now().Add(time.Second)}
					called := make(chan bool, 1)
					child := context.Context(c)
					switch first {
					case "Done":
						_ = c.Done()
					case "Err":
						if err := c.Err(); err != nil {
							t.Errorf("at first: %v", err)
						}
					case "child":
						var stop context.CancelFunc
						child, stop = context.WithCancel(c)
						defer stop()
					case "AfterFunc":
						context.AfterFunc(c, func() { called <- true })
					}
					if d, ok := c.Deadline(); !ok || time.Until(d) != time.Second || c.Value(key{}) != "value" {
						t.Errorf("deadline %v, %v; value %v", d, ok, c.Value(key{}))
					}
					want := context.Canceled
					switch end {
					case "deadline":
						time.Sleep(time.Second)
						want = context.DeadlineExceeded
					case "parent":
						cancel()
					case "stop":
						if first == "nothing" || first == "Err" {
							c.Done() // else nobody waits
						}
						c.stop()
					}
					synctest.Wait()
					if err := c.Err(); !errors.Is(err, want) {
						t.Errorf("Err: %v, want %v", err, want)
					}
					<-c.Done()
					<-child.Done()
					if err := child.Err(); !errors.Is(err, want) {
						t.Errorf("child: %v, want %v", err, want)
					}
					if first == "AfterFunc" {
						<-called
					}
					c.stop()
				})
			})
		}
	}
	earlier, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := &deadlineContext{Context: earlier, deadline: time.Now().Add(time.Hour)}
	if d, _ := c.Deadline(); time.Until(d) > time.Minute {
		t.Errorf("deadline %v, want that of the parent", d)
	}
}
