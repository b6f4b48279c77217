package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// cacheDir holds what is costly to make again. It lies outside the tree, so
// that every checkout on the machine shares it.
func cacheDir() (string, error) {
	if dir := os.Getenv("MQTTBRIDGE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir() // honours XDG_CACHE_HOME
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	return filepath.Join(dir, "mqttbridge-operator"), nil
}

// hackDir finds this repository's hack directory. "go -C hack/cluster run ."
// starts the program in hack/cluster; a built binary may start anywhere in the
// repository.
func hackDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		hack := filepath.Join(dir, "hack")
		if _, err := os.Stat(filepath.Join(hack, kubernetesModule, "go.mod")); err == nil {
			return hack, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not inside the repository: no hack/" + kubernetesModule + " above the working directory")
		}
	}
}

// binDir is where the programs for this checkout's pinned versions lie.
func binDir() (string, error) {
	hack, err := hackDir()
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	key, err := cacheKey(hack, components)
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "bin", key), nil
}

// cacheKey is a digest of all that decides what the programs will be: the
// modules' pins and own sources, the build settings and the Go version. One key
// covers all programs, so one directory holds them all, as envtest and
// containerd's search for its shim want it; after a small change Go's own build
// cache makes the others quickly again.
func cacheKey(hack string, components []component) (string, error) {
	digest := sha256.New()
	fmt.Fprintln(digest, runtime.Version(), runtime.GOARCH)
	var modules []string
	for _, c := range components {
		fmt.Fprintln(digest, c.name, c.module, c.pkg, c.tags)
		if !slices.Contains(modules, c.module) {
			modules = append(modules, c.module)
		}
	}
	for _, module := range modules {
		var files []string
		for _, pattern := range []string{"go.mod", "go.sum", "*.go"} {
			matches, err := filepath.Glob(filepath.Join(hack, module, pattern))
			if err != nil {
				return "", err
			}
			files = append(files, matches...)
		}
		slices.Sort(files)
		for _, file := range files {
			if err := hashFile(digest, module, file); err != nil {
				return "", fmt.Errorf("hash %s: %w", module, err)
			}
		}
	}
	return hex.EncodeToString(digest.Sum(nil))[:16], nil
}

func hashFile(digest io.Writer, module, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fmt.Fprintln(digest, module, filepath.Base(file), len(content))
	_, err = digest.Write(content)
	return err
}

// lockPoll is how often a held lock is tried again.
const lockPoll = 200 * time.Millisecond

// lock waits for a lock file, so that two runs do not build or start the same
// thing at once. The kernel drops the lock with the process.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	// Tried again and again, since a wait inside the kernel cannot be interrupted.
	for waiting := false; ; waiting = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !waiting {
			progress("waiting for another run that holds %s", path)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}
