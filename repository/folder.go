package repository

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/basket-go/basket"
)

// maxModelBytes is the size of the largest model that basket.ReadModel reads.
const maxModelBytes = 1 << 30

// list returns what is in a folder, in order, except what is hidden.
func list(dir string) ([]fs.DirEntry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var entries []fs.DirEntry
	for {
		batch, err := f.ReadDir(256)
		for _, e := range batch {
			if isHidden(e.Name()) {
				continue
			}
			if entries = append(entries, e); len(entries) > maxEntries {
				return nil, fmt.Errorf("%s: %w: over %d files and folders: want fewer", dir, basket.ErrInvalidConfig, maxEntries)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return entries, nil
		case err != nil:
			return nil, err
		}
	}
}

// isFolder reports whether an entry of dir is a folder or a link to one.
func isFolder(dir string, e fs.DirEntry) (bool, error) {
	if e.IsDir() || e.Type().IsRegular() {
		return e.IsDir(), nil
	}
	info, err := os.Stat(filepath.Join(dir, e.Name()))
	if err != nil {
		return false, err
	}
	return info.IsDir(), nil
}

// A place is where a version is, or why it cannot be used.
type place struct {
	dir string
	err error
}

// findVersions returns the places of the versions of a name.
func findVersions(dir string) (map[string]place, error) {
	entries, err := list(dir)
	if err != nil {
		return nil, err
	}
	found := map[string]place{}
	unversioned := false
	for _, e := range entries {
		folder, err := isFolder(dir, e)
		switch name := e.Name(); {
		case strings.HasPrefix(name, "model.") && (err != nil || !folder):
			unversioned = true
		case err != nil || folder:
			if bad := checkName("version", name); bad != nil {
				err = bad
			}
			found[name] = place{filepath.Join(dir, name), err}
		}
	}
	if !unversioned {
		return found, nil
	}
	one := place{dir: dir}
	if _, ok := found["1"]; ok {
		one.err = fmt.Errorf("%s: %w: both model.* and 1/ are version 1: want one of them", dir, basket.ErrInvalidConfig)
	}
	found["1"] = one
	return found, nil
}

// findModel returns the model of a version's folder.
func findModel(dir string) (path string, info fs.FileInfo, err error) {
	entries, err := list(dir)
	if err != nil {
		return "", nil, err
	}
	var name string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "model.") {
			continue
		}
		if !utf8.ValidString(e.Name()) || strings.ContainsFunc(e.Name(), unicode.IsControl) {
			return "", nil, fmt.Errorf("%s: %w: file %q: want a name of UTF-8 without control characters", dir, basket.ErrInvalidConfig, e.Name())
		}
		i, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", nil, err
		}
		if !i.Mode().IsRegular() {
			continue
		}
		if info != nil {
			return "", nil, fmt.Errorf("%s: %w: two models, %q and %q: want one", dir, basket.ErrInvalidConfig, name, e.Name())
		}
		name, info = e.Name(), i
	}
	if info == nil {
		return "", nil, fmt.Errorf("%s: %w: no model: want one file named model.*", dir, basket.ErrInvalidConfig)
	}
	return filepath.Join(dir, name), info, nil
}

// A hashed is a file and the digest that it had.
type hashed struct {
	path   string
	info   fs.FileInfo // from before it was read
	at     time.Time   // when reading began
	digest string
}

// holds reports whether a file can be taken for unchanged without reading it. One
// that changed shortly before it was read may have changed again within the
// resolution of its time.
func (h *hashed) holds(path string, info fs.FileInfo) bool {
	return h.info != nil && h.path == path && os.SameFile(h.info, info) && h.info.Size() == info.Size() &&
		h.info.ModTime().Equal(info.ModTime()) && h.at.Sub(info.ModTime()) > 2*time.Second
}

// digestOf returns the digest of a file, as basket.ModelInfo has it.
func digestOf(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(contextReader{ctx, f}, maxModelBytes+1)); err != nil {
		return "", err
	}
	return digestText(h.Sum(nil)), nil
}

func digestText(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }

// A contextReader is a reader until ctx is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// load reads and checks a model. It returns the digest of what was read, with
// errors too.
func (r *Repository) load(ctx context.Context, path, id string) (m *basket.FileModel, digest string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	h := sha256.New()
	opts := append(r.options[:len(r.options):len(r.options)], basket.WithModelID(id))
	m, err = basket.ReadModel(io.TeeReader(contextReader{ctx, f}, h), opts...)
	digest = digestText(h.Sum(nil))
	if err == nil {
		err = r.check(m)
	}
	if err != nil {
		return nil, digest, fmt.Errorf("%s: %w", path, err)
	}
	return m, digest, nil
}

func (r *Repository) check(m *basket.FileModel) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: the check panicked: %v", basket.ErrInvalidConfig, r)
		}
	}()
	for _, check := range r.checks {
		if err := check(m); err != nil {
			return err
		}
	}
	return nil
}
