package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// minimum is the smallest file system that mkfs.xfs makes.
const minimum = 300 << 20

// disks is the folder with all disks: `<volume>/image` is the disk, `<volume>/node` names the node that has it.
//
// A disk holds XFS rather than ext4: both grow while they are mounted, but ext4 asks for CAP_SYS_RESOURCE, which root in
// a container may lack. Its loop device ends with its last mount, and with that when the mount namespace ends.
type disks struct {
	folder string
}

func (d disks) image(volume string) string {
	return filepath.Join(d.folder, volume, "image")
}

func (d disks) owner(volume string) string {
	return filepath.Join(d.folder, volume, "node")
}

// create makes a disk with an empty file system, once, and returns its size.
func (d disks) create(volume string, size int64) (int64, error) {
	if info, err := os.Stat(d.image(volume)); err == nil {
		return info.Size(), nil
	}
	size = max(size, minimum)
	staging := d.image(volume) + ".new"
	if err := os.MkdirAll(filepath.Dir(staging), 0o700); err != nil {
		return 0, err
	}
	if err := os.WriteFile(staging, nil, 0o600); err != nil {
		return 0, err
	}
	if err := os.Truncate(staging, size); err != nil {
		return 0, err
	}
	if err := run("mkfs.xfs", "-q", "-f", staging); err != nil {
		return 0, err
	}
	return size, os.Rename(staging, d.image(volume))
}

func (d disks) remove(volume string) error {
	return os.RemoveAll(filepath.Join(d.folder, volume))
}

// enlarge makes the disk larger; the file system on it stays as it is.
func (d disks) enlarge(volume string, size int64) (int64, error) {
	info, err := os.Stat(d.image(volume))
	if err != nil || size <= info.Size() {
		return size, err
	}
	return size, os.Truncate(d.image(volume), size)
}

// attach gives the disk to a node, and refuses a second one.
func (d disks) attach(volume, node string) error {
	owner, err := os.OpenFile(d.owner(volume), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return d.attached(volume, node)
	}
	if err != nil {
		return err
	}
	_, err = owner.WriteString(node)
	return errors.Join(err, owner.Close())
}

// attached returns an error unless the node has the disk.
func (d disks) attached(volume, node string) error {
	owner, err := os.ReadFile(d.owner(volume))
	if err != nil {
		return err
	}
	if string(owner) != node {
		return fmt.Errorf("disk %s is attached to %s, not to %s", volume, owner, node)
	}
	return nil
}

// detach takes the disk from a node; one that has it no longer is no error.
func (d disks) detach(volume, node string) error {
	if d.attached(volume, node) != nil {
		return nil
	}
	return os.Remove(d.owner(volume))
}

// mount makes the file system of a disk that the node has visible at target.
func (d disks) mount(volume, node, target string) error {
	if err := d.attached(volume, node); err != nil {
		return err
	}
	if mounted(target) {
		return nil
	}
	return run("mount", "-t", "xfs", "-o", "loop", d.image(volume), target)
}

// bind makes a mounted file system visible at target too.
func bind(source, target string, readonly bool) error {
	if mounted(target) {
		return nil
	}
	if err := os.MkdirAll(target, 0o750); err != nil {
		return err
	}
	options := "bind"
	if readonly {
		options = "bind,ro"
	}
	return run("mount", "-o", options, source, target)
}

func unmount(target string) error {
	if !mounted(target) {
		return nil
	}
	return run("umount", target)
}

// unbind takes away what bind has made; what is gone already is no error.
func unbind(target string) error {
	if err := unmount(target); err != nil {
		return err
	}
	if err := os.Remove(target); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// grow lets the mounted file system have all of its disk.
func grow(target string) error {
	device, err := exec.Command("findmnt", "--noheadings", "--output", "SOURCE", "--mountpoint", target).Output()
	if err != nil {
		return fmt.Errorf("no device is mounted at %s: %w", target, err)
	}
	if err := run("losetup", "--set-capacity", strings.TrimSpace(string(device))); err != nil {
		return err
	}
	return run("xfs_growfs", target)
}

func mounted(target string) bool {
	return exec.Command("mountpoint", "--quiet", target).Run() == nil
}

func run(command string, arguments ...string) error {
	output, err := exec.Command(command, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", command, strings.Join(arguments, " "), err, output)
	}
	return nil
}
