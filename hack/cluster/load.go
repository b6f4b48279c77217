package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// runLoad imports image archives, of Docker's or OCI's format.
func runLoad(ctx context.Context, archives []string) error {
	if len(archives) == 0 {
		return errors.New("load: name at least one image archive")
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

// runningBinDir holds the programs that the running cluster was started from.
func runningBinDir() (string, error) {
	bin, err := os.ReadFile(binDirFile)
	if err != nil {
		return "", fmt.Errorf("no cluster is there, start one with \"up\": %w", err)
	}
	return string(bin), nil
}

// loadImage imports into the namespace that the kubelet's images are in.
func loadImage(ctx context.Context, bin, archive string) error {
	ctr := filepath.Join(bin, "ctr")
	return execute(ctx, ctr, "--address", containerdSocket, "--namespace", "k8s.io", "images", "import", archive)
}

// loadOwnImages makes and loads the sandbox image, without which no pod starts,
// and the broker that the demo and the tests use.
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
