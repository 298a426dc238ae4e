// SPDX-License-Identifier: Apache-2.0

// What Go's os package does with a directory that it may write to (/files) and one that it may only read (/read-only, the same).
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var failed bool

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		failed = true
	}
}

func expect(what string, err, wanted error) {
	if !errors.Is(err, wanted) {
		fmt.Fprintf(os.Stderr, "%s: got %v, expected %v\n", what, err, wanted)
		failed = true
	}
}

func same[T comparable](what string, got, wanted T) {
	if got != wanted {
		fmt.Fprintf(os.Stderr, "%s: got %v, expected %v\n", what, got, wanted)
		failed = true
	}
}

func main() {
	entries, err := os.ReadDir("/files")
	check("ReadDir", err)
	same("entries", len(entries), 501)

	count := 0
	check("WalkDir", filepath.WalkDir("/read-only", func(path string, entry fs.DirEntry, err error) error {
		count++
		return err
	}))
	same("walked", count, 503)

	check("MkdirAll", os.MkdirAll("/files/a/b/c", 0o755))
	check("WriteFile", os.WriteFile("/files/a/b/c/file", []byte("some text"), 0o644))
	check("Rename", os.Rename("/files/a/b/c/file", "/files/a/file"))
	check("Symlink", os.Symlink("a/file", "/files/link"))
	target, err := os.Readlink("/files/link")
	check("Readlink", err)
	same("target", target, "a/file")
	text, err := os.ReadFile("/files/link")
	check("ReadFile", err)
	same("text", string(text), "some text")
	check("Link", os.Link("/files/a/file", "/files/hard"))

	file, err := os.OpenFile("/files/a/file", os.O_RDWR|os.O_APPEND, 0)
	check("OpenFile", err)
	_, err = io.WriteString(file, ", more")
	check("WriteString", err)
	_, err = file.Seek(5, io.SeekStart)
	check("Seek", err)
	rest, err := io.ReadAll(file)
	check("ReadAll", err)
	same("rest", string(rest), "text, more")
	check("Truncate", file.Truncate(4))
	check("Sync", file.Sync())
	check("Close", file.Close())

	when := time.Unix(1_000_000_000, 5)
	check("Chtimes", os.Chtimes("/files/hard", when, when))
	info, err := os.Stat("/files/a/file")
	check("Stat", err)
	same("time", info.ModTime().UnixNano(), when.UnixNano())
	same("size", info.Size(), 4)
	info, err = os.Lstat("/files/link")
	check("Lstat", err)
	same("mode", info.Mode().Type(), fs.ModeSymlink)

	_, err = os.Open("/files/missing")
	expect("Open", err, fs.ErrNotExist)
	_, err = os.OpenFile("/files/hard", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	expect("OpenFile", err, fs.ErrExist)
	expect("Remove", os.Remove("/files/a"), syscall.ENOTEMPTY)
	expect("WriteFile", os.WriteFile("/read-only/new", nil, 0o644), syscall.EROFS)
	expect("Remove", os.Remove("/read-only/0"), syscall.EROFS)
	expect("Mkdir", os.Mkdir("/read-only/new", 0o755), syscall.EROFS)
	_, err = os.ReadFile("/files/../../secret")
	if err == nil {
		check("outside", errors.New("was read"))
	}

	check("RemoveAll", os.RemoveAll("/files/a"))
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "1") {
			check("Remove", os.Remove("/files/"+entry.Name()))
		}
	}

	host, err := os.Getwd()
	check("Getwd", err)
	fmt.Println("cwd:", host)
	timer := time.NewTimer(10 * time.Second)
	select {
	case <-timer.C:
		fmt.Println("too late")
	case <-time.After(30 * time.Millisecond):
		fmt.Println("in time")
	}
	if failed {
		os.Exit(1)
	}
}
