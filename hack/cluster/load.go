package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// runLoad imports image archives in Docker's or OCI's format.
func runLoad(ctx context.Context, archives []string) error {
	if len(archives) == 0 {
		return errors.New("load: no image archive given; name at least one")
	}
	bin, err := runningBinDir()
	if err != nil {
		return err
	}
	for _, archive := range archives {
		if err := loadImage(ctx, bin, archive); err != nil {
			return err
		}
	}
	return nil
}

// runningBinDir returns the directory of the programs from which the running cluster was started.
func runningBinDir() (string, error) {
	bin, err := os.ReadFile(binDirFile)
	if err != nil {
		return "", fmt.Errorf("no cluster exists; start one with \"up\": %w", err)
	}
	return string(bin), nil
}

// loadImage imports an archive into the kubelet's containerd namespace.
func loadImage(ctx context.Context, bin, archive string) error {
	ctr := filepath.Join(bin, "ctr")
	return execute(ctx, ctr, "--address", containerdSocket, "--namespace", "k8s.io", "images", "import", archive)
}

// loadOwnImages builds and loads the sandbox image, which every pod needs, and the broker for the
// demo and the tests.
func loadOwnImages(ctx context.Context, bin string) error {
	broker, err := brokerImage(ctx)
	if err != nil {
		return fmt.Errorf("make the broker's image: %w", err)
	}
	for _, spec := range []imageSpec{sandboxImage(bin), broker} {
		if err := makeAndLoad(ctx, bin, spec); err != nil {
			return err
		}
		progress("loaded %s", spec.name)
	}
	return nil
}

func makeAndLoad(ctx context.Context, bin string, spec imageSpec) error {
	dir, err := os.MkdirTemp("", "cluster-image-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	archive := filepath.Join(dir, "image.tar")
	if err := writeImage(archive, spec); err != nil {
		return err
	}
	return loadImage(ctx, bin, archive)
}
