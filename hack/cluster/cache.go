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

// cacheDir returns the directory for files that are costly to build. It is outside the repository,
// so that all checkouts on the machine share it.
func cacheDir() (string, error) {
	if dir := os.Getenv("MQTTBRIDGE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir() // respects XDG_CACHE_HOME
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
			return "", errors.New("not inside the repository: no parent of the working directory contains hack/" + kubernetesModule + "; start the command in the repository")
		}
	}
}

// binDir returns the directory of the programs for the pinned versions of this checkout.
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

// cacheKey returns a digest of everything that determines the programs: the modules' pins and own
// sources, the build settings and the Go version. One key covers all programs, so that one
// directory holds all of them, as envtest and containerd's search for its shim require. After a
// small change, Go's own build cache rebuilds the others quickly.
func cacheKey(hack string, components []component) (string, error) {
	digest := sha256.New()
	_, _ = fmt.Fprintln(digest, runtime.Version(), runtime.GOARCH)
	var modules []string
	for _, c := range components {
		_, _ = fmt.Fprintln(digest, c.name, c.module, c.pkg, c.tags)
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
	_, _ = fmt.Fprintln(digest, module, filepath.Base(file), len(content))
	_, err = digest.Write(content)
	return err
}

// lockPoll is the time between two attempts to take a held lock.
const lockPoll = 200 * time.Millisecond

// lock takes a lock file, so that two runs do not build or start the same thing at the same time.
// The kernel releases the lock when the process ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	// The loop polls, because a wait inside the kernel cannot be interrupted.
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
			progress("waiting until another run releases %s", path)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}
