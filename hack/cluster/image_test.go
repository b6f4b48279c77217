package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func testImage(t *testing.T) imageSpec {
	t.Helper()
	source := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(source, []byte("content"), 0o700); err != nil {
		t.Fatal(err)
	}
	return imageSpec{
		name: "localhost/test/image:tag",
		files: []imageFile{
			{source: source, target: "/usr/bin/program", mode: 0o755},
			{source: source, target: "/etc/config", mode: 0o644},
		},
		entrypoint: []string{"/usr/bin/program", "-x"},
		user:       "65532",
	}
}

func TestLayer_SeveralFiles_HoldsFilesAndDirectoriesInOrder(t *testing.T) {
	content, err := layer(testImage(t).files)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	reader := tar.NewReader(bytes.NewReader(content))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 0 {
			t.Errorf("%s shows the machine that made it: %+v", header.Name, header)
		}
		got = append(got, header.FileInfo().Mode().String()+" "+header.Name)
	}
	want := []string{
		"drwxr-xr-x etc/", "drwxr-xr-x usr/", "drwxr-xr-x usr/bin/",
		"-rw-r--r-- etc/config", "-rwxr-xr-x usr/bin/program",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the layer holds\n%q, want\n%q", got, want)
	}
}

func TestWriteImage_SameFiles_WritesSameArchive(t *testing.T) {
	spec := testImage(t)
	var archives [2][]byte
	for i := range archives {
		path := filepath.Join(t.TempDir(), "image.tar")
		if err := writeImage(path, spec); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		archives[i] = content
		slices.Reverse(spec.files) // the order in the spec does not matter
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the archives differ")
	}
}

func TestWriteImage_EntrypointAndUser_AreInConfig(t *testing.T) {
	spec := testImage(t)
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := writeImage(path, spec); err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != spec.user || !slices.Equal(config.Config.Entrypoint, spec.entrypoint) {
		t.Errorf("the image runs %q as %q, want %q as %q", config.Config.Entrypoint, config.Config.User, spec.entrypoint, spec.user)
	}
}

func TestWriteImage_NameWithoutRegistry_Fails(t *testing.T) {
	spec := testImage(t)
	spec.name = "image:tag"
	if err := writeImage(filepath.Join(t.TempDir(), "image.tar"), spec); err == nil {
		t.Error("a name was accepted that the kubelet would look for in a public registry")
	}
}

func TestParseLdd_Output_ReturnsLibrariesAndLoader(t *testing.T) {
	got, err := parseLdd(`	linux-vdso.so.1 (0x00007ffd0b5f2000)
	libcjson.so.1 => /lib/x86_64-linux-gnu/libcjson.so.1 (0x00007f3a0c000000)
	/lib64/ld-linux-x86-64.so.2 (0x00007f3a0d000000)
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/lib/x86_64-linux-gnu/libcjson.so.1", "/lib64/ld-linux-x86-64.so.2"}
	if !slices.Equal(got, want) {
		t.Errorf("libraries are %q, want %q", got, want)
	}
	if _, err := parseLdd("\tlibgone.so.1 => not found\n"); err == nil {
		t.Error("a missing library was accepted")
	}
}
