package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// An imageSpec describes the content of an image. The same files result in the same image, byte for
// byte.
type imageSpec struct {
	name       string
	files      []imageFile
	entrypoint []string
	user       string // numeric
}

type imageFile struct {
	source string // on this machine
	target string // in the image, absolute
	mode   int64
}

// runImage builds an image from files of this machine.
func runImage(ctx context.Context, args []string) error {
	var (
		spec     imageSpec
		programs []string
		output   string
		load     bool
		serve    bool
	)
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.StringVar(&spec.name, "name", "", "the image's full `name`, for example localhost/mqttbridge/operator:dev")
	flags.Func("binary", "add a static binary, as `SOURCE=/path/in/image`; may be repeated", func(value string) error {
		return addFile(&spec.files, value, 0o755)
	})
	flags.Func("file", "add a file, as `SOURCE=/path/in/image`; may be repeated", func(value string) error {
		return addFile(&spec.files, value, 0o644)
	})
	flags.Func("debian-binary", "add the program with this `path` from a Debian package, with its libraries; may be repeated", func(value string) error {
		programs = append(programs, value)
		return nil
	})
	flags.Func("entrypoint", "one `word` of the command that the image runs; may be repeated", func(value string) error {
		spec.entrypoint = append(spec.entrypoint, value)
		return nil
	})
	flags.StringVar(&spec.user, "user", unprivilegedUser, "the numeric `user` that the image runs as")
	flags.StringVar(&output, "output", "", "write the image's archive to this `file`")
	flags.BoolVar(&load, "load", false, "load the image into the cluster")
	flags.BoolVar(&serve, "serve", false, "serve the image from a registry until interrupted, at the address that its name begins with, for example 127.0.0.1:5000; port 0 selects a free port")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("image: unknown argument %q", flags.Arg(0))
	}
	if output == "" && !load && !serve {
		return errors.New("image: none of --load, --output FILE and --serve is set; set at least one of them")
	}

	libraries, err := debianFiles(ctx, programs)
	if err != nil {
		return err
	}
	spec.files = append(spec.files, libraries...)
	if output != "" {
		if err := writeImage(output, spec); err != nil {
			return err
		}
	}
	if load {
		bin, err := runningBinDir()
		if err != nil {
			return err
		}
		if err := makeAndLoad(ctx, bin, spec); err != nil {
			return err
		}
	}
	if serve {
		return serveImage(ctx, spec, os.Stdout)
	}
	return nil
}

func addFile(files *[]imageFile, value string, mode int64) error {
	source, target, ok := strings.Cut(value, "=")
	if !ok || source == "" || !path.IsAbs(target) {
		return fmt.Errorf("%q is not of the form SOURCE=/path/in/image", value)
	}
	*files = append(*files, imageFile{source: source, target: path.Clean(target), mode: mode})
	return nil
}

// writeImage writes the archive of an image in Docker's format.
func writeImage(archive string, spec imageSpec) error {
	tag, image, err := makeTaggedImage(spec)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(archive, tag, image)
}

func makeTaggedImage(spec imageSpec) (name.Tag, v1.Image, error) {
	// Strict validation: a name without a registry would refer to a public registry.
	tag, err := name.NewTag(spec.name, name.StrictValidation)
	if err != nil {
		return tag, nil, err
	}
	image, err := makeImage(spec)
	if err != nil {
		err = fmt.Errorf("make the image %s: %w", spec.name, err)
	}
	return tag, image, err
}

func makeImage(spec imageSpec) (v1.Image, error) {
	if len(spec.files) == 0 || len(spec.entrypoint) == 0 {
		return nil, errors.New("an image needs files and an entrypoint")
	}
	content, err := layer(spec.files)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(content, types.DockerUncompressedLayer))
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Architecture = runtime.GOARCH
	config.OS = "linux"
	config.Config = v1.Config{
		Entrypoint: spec.entrypoint,
		User:       spec.user,
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		WorkingDir: "/",
	}
	return mutate.ConfigFile(image, config)
}

// layer returns a tar of the files and their parent directories, sorted, owned by root and without
// timestamps of this machine.
func layer(files []imageFile) ([]byte, error) {
	byTarget := map[string]imageFile{}
	directories := map[string]bool{}
	for _, file := range files {
		byTarget[file.target] = file
		for dir := path.Dir(file.target); dir != "/"; dir = path.Dir(dir) {
			directories[dir] = true
		}
	}

	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	for _, dir := range slices.Sorted(maps.Keys(directories)) {
		header := tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755, ModTime: time.Unix(0, 0)}
		if err := writer.WriteHeader(&header); err != nil {
			return nil, err
		}
	}
	for _, target := range slices.Sorted(maps.Keys(byTarget)) {
		file := byTarget[target]
		data, err := os.ReadFile(file.source)
		if err != nil {
			return nil, err
		}
		header := tar.Header{Typeflag: tar.TypeReg, Name: target[1:], Size: int64(len(data)), Mode: file.mode, ModTime: time.Unix(0, 0)}
		if err := writer.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(data); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return content.Bytes(), nil
}
