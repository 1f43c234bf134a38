package serve

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Rotation says when a log file is renamed and a new one begun, and what becomes of
// the old ones. The zero Rotation leaves that to other programs; see
// [LogFile.Reopen]. Only one process may write to a file that is rotated.
//
// The file model_metrics.txt is renamed to model_metrics-20250623T141807.123Z.txt, by
// the time of the rotation in UTC. The new one begins with the header. On Windows,
// which does not rename open files, rotation fails and is reported.
type Rotation struct {
	// MaxBytes is the size that a file may reach; a longer line has a file of its
	// own, with the header. 0 is no limit.
	MaxBytes int64

	// Days is how many days a file covers; 0 is no limit. Days are local, and
	// counted from 1970-01-01: a file that covers 7 begins on a Thursday. The first
	// line of a later day begins a new file, also after a restart.
	Days int

	// Keep is how many old files are kept; at each rotation the oldest ones beyond
	// are removed. 0 keeps all.
	Keep int
}

func (r Rotation) validate() error {
	var faults []error
	if r.MaxBytes < 0 {
		faults = append(faults, fmt.Errorf("serve: log rotation: MaxBytes %d: want 0 or more", r.MaxBytes))
	}
	if r.Days < 0 {
		faults = append(faults, fmt.Errorf("serve: log rotation: Days %d: want 0 or more", r.Days))
	}
	if r.Keep < 0 {
		faults = append(faults, fmt.Errorf("serve: log rotation: Keep %d: want 0 or more", r.Keep))
	}
	if r.Keep > 0 && r.MaxBytes == 0 && r.Days == 0 {
		faults = append(faults, errors.New("serve: log rotation: Keep without MaxBytes and Days: nothing is rotated: give one of them"))
	}
	return errors.Join(faults...)
}

// rotatedTime is the time in the name of an old file.
const rotatedTime = "20060102T150405.000Z"

// dayOf numbers the local day of t.
func dayOf(t time.Time) int64 {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60)
}

// rotate begins a new file if it is time, and a line need not be finished before.
// The caller holds l.io.
func (l *LogFile) rotate() {
	now := time.Now()
	today := dayOf(now)
	if l.part > 0 {
		return
	}
	if !l.due(today) {
		l.day = today
		return
	}
	if err := l.replace(now); err != nil {
		if !l.stuck {
			l.report(fmt.Errorf("serve: log file %s: it cannot be rotated and grows: %w", l.path, err))
		}
		l.stuck = true
		return
	}
	l.stuck = false
	l.day = today
	if err := l.removeOld(); err != nil {
		l.report(fmt.Errorf("serve: log file %s: old files cannot be removed: %w", l.path, err))
	}
}

// due reports whether pending's first line belongs into a new file. A file that has
// no more than the header takes any line.
func (l *LogFile) due(today int64) bool {
	if l.size <= int64(len(l.header)) || !l.info.Mode().IsRegular() {
		return false
	}
	if days := int64(l.rotation.Days); days > 0 && l.day/days < today/days {
		return true
	}
	first := int64(bytes.IndexByte(l.pending, '\n') + 1)
	return l.rotation.MaxBytes > 0 && l.size+first > l.rotation.MaxBytes
}

// room returns how much of pending belongs into this file: what fits, but at least
// the first line.
func (l *LogFile) room() int {
	free := l.rotation.MaxBytes - l.size
	if l.rotation.MaxBytes == 0 || l.stuck || !l.info.Mode().IsRegular() || free >= int64(len(l.pending)) {
		return len(l.pending)
	}
	if end := bytes.LastIndexByte(l.pending[:max(free, 0)], '\n') + 1; end > l.part {
		return end
	}
	if end := bytes.IndexByte(l.pending, '\n') + 1; end > 0 {
		return end
	}
	return len(l.pending)
}

// replace renames the file and opens a new one. If another program has renamed or
// removed the file, there is nothing to rename.
func (l *LogFile) replace(now time.Time) error {
	info, err := os.Stat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return l.open()
	}
	if err != nil {
		return err
	}
	if !os.SameFile(info, l.info) {
		return l.open()
	}
	old, err := l.unusedName(now)
	if err != nil {
		return err
	}
	if err := os.Rename(l.path, old); err != nil {
		return err
	}
	if err := l.open(); err != nil {
		return errors.Join(err, os.Rename(old, l.path))
	}
	return nil
}

// unusedName returns a name for the old file, by the first free millisecond from now
// on that is after those of the files before.
func (l *LogFile) unusedName(now time.Time) (string, error) {
	prefix, suffix := l.rotatedName()
	t := now.UTC().Truncate(time.Millisecond)
	if !t.After(l.rotated) {
		t = l.rotated.Add(time.Millisecond)
	}
	for ; ; t = t.Add(time.Millisecond) {
		name := filepath.Join(filepath.Dir(l.path), prefix+t.Format(rotatedTime)+suffix)
		switch _, err := os.Lstat(name); {
		case errors.Is(err, fs.ErrNotExist):
			l.rotated = t
			return name, nil
		case err != nil:
			return "", err
		}
	}
}

// rotatedName returns what stands before and after the time in the names of old files.
func (l *LogFile) rotatedName() (prefix, suffix string) {
	base := filepath.Base(l.path)
	suffix = filepath.Ext(base)
	return strings.TrimSuffix(base, suffix) + "-", suffix
}

// removeOld removes the oldest of the old files beyond Keep.
func (l *LogFile) removeOld() error {
	if l.rotation.Keep == 0 {
		return nil
	}
	dir := filepath.Dir(l.path)
	entries, err := os.ReadDir(dir) // sorted by name, which is by time
	if err != nil {
		return err
	}
	prefix, suffix := l.rotatedName()
	var old []string
	for _, e := range entries {
		middle, isOld := strings.CutPrefix(e.Name(), prefix)
		middle, hasSuffix := strings.CutSuffix(middle, suffix)
		if _, err := time.Parse(rotatedTime, middle); isOld && hasSuffix && err == nil && e.Type().IsRegular() {
			old = append(old, e.Name())
		}
	}
	var faults []error
	for _, name := range old[:max(len(old)-l.rotation.Keep, 0)] {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}
