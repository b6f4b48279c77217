package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// progressInterval is how often a long build says that it is still at work.
const progressInterval = 15 * time.Second

func runBuild(ctx context.Context, names []string) error {
	wanted, err := selectComponents(names)
	if err != nil {
		return err
	}
	_, err = build(ctx, wanted)
	return err
}

// runAssets prints the directory that envtest is to be pointed at.
func runAssets(ctx context.Context) error {
	wanted, err := selectComponents([]string{"envtest"})
	if err != nil {
		return err
	}
	dir, err := build(ctx, wanted)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}

// selectComponents finds components by name; no name means all of them.
func selectComponents(names []string) ([]component, error) {
	if len(names) == 0 {
		return components, nil
	}
	var selected []component
	for _, name := range names {
		matches := slices.DeleteFunc(slices.Clone(components), func(c component) bool {
			wanted := c.name == name || name == "envtest" && c.envtest
			return !wanted
		})
		if len(matches) == 0 {
			return nil, fmt.Errorf("no component is named %q", name)
		}
		selected = append(selected, matches...)
	}
	return selected, nil
}

// build makes the components that the cache lacks and returns the directory
// that holds them.
func build(ctx context.Context, wanted []component) (string, error) {
	hack, err := hackDir()
	if err != nil {
		return "", err
	}
	dir, err := binDir()
	if err != nil {
		return "", err
	}
	if len(missing(dir, wanted)) == 0 {
		return dir, nil
	}

	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Join(dir, "build.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	// Whoever held the lock before may have built some of them, or may have
	// been killed halfway.
	if err := removePartial(dir); err != nil {
		return "", err
	}
	absent := missing(dir, wanted)
	start := time.Now()
	for i, c := range absent {
		progress("building %s (%d of %d)", c.name, i+1, len(absent))
		if err := buildOne(ctx, hack, dir, c); err != nil {
			return "", fmt.Errorf("build %s: %w", c.name, err)
		}
	}
	progress("built %d programs in %d s into %s", len(absent), int(time.Since(start).Seconds()), dir)
	return dir, nil
}

func missing(dir string, wanted []component) []component {
	return slices.DeleteFunc(slices.Clone(wanted), func(c component) bool {
		_, err := os.Stat(filepath.Join(dir, c.name))
		return err == nil
	})
}

// partialSuffix marks a program that is not fully written.
const partialSuffix = ".partial"

func removePartial(dir string) error {
	leftovers, err := filepath.Glob(filepath.Join(dir, "*"+partialSuffix))
	if err != nil {
		return err
	}
	for _, leftover := range leftovers {
		if err := os.Remove(leftover); err != nil {
			return err
		}
	}
	return nil
}

// buildOne compiles under another name first, so that a killed build never
// leaves a program that looks whole. The name is this run's own: the compiler of
// a killed run may live on for a while.
func buildOne(ctx context.Context, hack, dir string, c component) error {
	ldflags, err := linkerFlags(hack, c)
	if err != nil {
		return err
	}
	target := filepath.Join(dir, c.name)
	partial := fmt.Sprintf("%s.%d%s", target, os.Getpid(), partialSuffix)
	cmd := exec.CommandContext(ctx, "go", "build",
		"-trimpath", "-buildvcs=false", "-tags", c.tags, "-ldflags", ldflags,
		"-o", partial, c.pkg)
	cmd.Dir = filepath.Join(hack, c.module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	// "go build" ends its compilers when it is interrupted, not when it is killed.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }

	start := time.Now()
	stopTicking := every(progressInterval, func() {
		progress("  still building %s, %d s", c.name, int(time.Since(start).Seconds()))
	})
	err = cmd.Run()
	stopTicking()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, strings.TrimSpace(output.String()))
	}
	return os.Rename(partial, target)
}

// every calls f once per interval until the returned function is called.
func every(interval time.Duration, f func()) (stop func()) {
	ticker := time.NewTicker(interval)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				f()
			case <-done:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
	}
}

var kubernetesVersion = regexp.MustCompile(`k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)`)

// linkerFlags tells the Kubernetes programs their version, which they cannot
// learn from a build outside their own tree. Without it the API server reports
// v0.0.0 and clients that check for a minimum refuse it.
func linkerFlags(hack string, c component) (string, error) {
	flags := "-s -w"
	if c.module != kubernetesModule {
		return flags, nil
	}
	mod, err := os.ReadFile(filepath.Join(hack, c.module, "go.mod"))
	if err != nil {
		return "", err
	}
	version := kubernetesVersion.FindSubmatch(mod)
	if version == nil {
		return "", errors.New("go.mod does not pin k8s.io/kubernetes")
	}
	for i, name := range []string{"gitVersion", "gitMajor", "gitMinor"} {
		flags += fmt.Sprintf(" -X k8s.io/component-base/version.%s=%s", name, version[i+1])
	}
	return flags, nil
}
