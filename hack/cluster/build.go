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

// progressInterval is the time between two progress messages of a long build.
const progressInterval = 15 * time.Second

func runBuild(ctx context.Context, names []string) error {
	wanted, err := selectComponents(names)
	if err != nil {
		return err
	}
	_, err = build(ctx, wanted)
	return err
}

// runAssets prints the directory for KUBEBUILDER_ASSETS.
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

// selectComponents finds components by name. Without names it returns all components.
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
			return nil, fmt.Errorf("unknown component %q; hack/cluster/components.go lists the names", name)
		}
		selected = append(selected, matches...)
	}
	return selected, nil
}

// build builds the components that are missing from the cache and returns the directory that holds
// all of them.
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
	// The previous holder of the lock may have built some of them, or was killed during a build.
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

// buildOne compiles to a temporary name first, so that a killed build never leaves a partial
// program under the final name. The name contains the process identifier, because the compiler of a
// killed run may continue for a while.
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
	// After an interrupt, "go build" stops its compilers; after a kill they continue.
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

// linkerFlags sets the version of the Kubernetes programs, which a build outside their repository
// does not contain. Without it the API server reports v0.0.0, and clients that require a minimum
// version reject it.
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
