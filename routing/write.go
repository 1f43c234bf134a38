package routing

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/basket-go/basket"
)

// errChanged means that the file has another table than the client has seen.
var errChanged = errors.New("routing: the file has another table")

// errRoutes means that the Predictor refuses the routes.
var errRoutes = errors.New("routing: the models do not fit")

// check returns errChanged unless the text of the file is a table that the client
// has seen.
func (f *File) check(seen precondition, text []byte) error {
	if seen.any {
		return nil
	}
	t, err := f.parse(text)
	if err != nil {
		return fmt.Errorf("%w: %w", errChanged, err)
	}
	if !seen.has(t.tag()) {
		return errChanged
	}
	return nil
}

// replace writes a table to the file and gives its routes to p, or changes nothing.
// Meanwhile no other process that calls replace can write the file. The caller has
// locked f.
func (f *File) replace(ctx context.Context, p *basket.Predictor, seen precondition, t Table, list []basket.Route) error {
	path, err := filepath.EvalSymlinks(f.path) // the link stays
	if err != nil {
		return err
	}
	folder, err := lockFolder(ctx, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.unlock()
	text, err := readFile(path)
	if err != nil {
		return err
	}
	if err := f.check(seen, text); err != nil {
		return err
	}
	rename := func() error { return nil }
	if old, err := f.parse(text); err != nil || old.tag() != t.tag() {
		text = t.text()
		temporary, err := writeBeside(path, text)
		if err != nil {
			return err
		}
		defer os.Remove(temporary) // which is gone after the rename
		rename = func() error { return os.Rename(temporary, path) }
	}
	// Only SetRoutes knows whether models fit the store, so it comes before the file.
	if err := p.SetRoutes(t.Experiment, list...); err != nil {
		return fmt.Errorf("%w: %w", errRoutes, err)
	}
	if err := rename(); err != nil {
		now := f.now.Load()
		return errors.Join(err, p.SetRoutes(now.table.Experiment, now.routes...))
	}
	f.judged = sha256.Sum256(text)
	f.seen = f.judged
	f.wanted, f.unread, f.refused = nil, nil, nil
	// The change is visible to all. What is lost without sync is its durability if the
	// machine fails within seconds.
	if err := folder.sync(); err != nil {
		f.log(ctx, "Failed to sync the folder of the routes", err)
	}
	return nil
}

// writeBeside writes a temporary file of the mode of the file at path, in its folder.
func writeBeside(path string, text []byte) (temporary string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Chmod(info.Mode().Perm()), file.Sync(), file.Close())
	if err != nil {
		os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}

// putLimit is how long a request to change routes may wait for models and locks.
const putLimit = 30 * time.Second

// put changes the routes for a client.
func (f *File) put(ctx context.Context, p *basket.Predictor, seen precondition, t Table) error {
	client := ""
	if f.client != nil {
		client = f.client(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, putLimit)
	defer cancel()
	if err := f.lock(ctx); err != nil {
		return err
	}
	defer f.unlock()
	text, err := readFile(f.path)
	if err != nil {
		return err
	}
	if err := f.check(seen, text); err != nil {
		return err
	}
	defer func() { f.hold() }() // of what is applied then
	f.hold(t)
	list, err := f.find(ctx, t)
	if err != nil {
		return err
	}
	if err := f.replace(ctx, p, seen, t, list); err != nil {
		return err
	}
	f.applied(ctx, t, list, client)
	return nil
}
