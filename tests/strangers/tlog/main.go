// Command tlog reads an exported log as the Go checksum database's own packages read theirs.
//
//	tlog DIR VKEY
//	tlog PROOF RECORD VKEY
//
// It opens the checkpoint, authenticates every tile against it, compares every entry with its leaf,
// grows the tree again from the entries alone, and proves and checks inclusion and consistency.
// It prints the size and the root, or what is wrong, with exit status 1.
//
// The second form checks that a file with a record's exact bytes is in the log, by a C2SP tlog-proof.
package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height = 8 // of tiles; C2SP tlog-tiles leaves it out of the path
	width  = 1 << height
)

// tiles is a directory of tlog-tiles as a tlog.TileReader.
type tiles string

func (tiles) Height() int { return height }

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (dir tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(dir.path(tile))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (dir tiles) path(tile tlog.Tile) string {
	name := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	return filepath.Join(string(dir), "tile", strings.Replace(name, "data/", "entries/", 1))
}

// entries reads the bundle that begins with entry first.
func (dir tiles) entries(first, size int64) ([][]byte, error) {
	tile := tlog.Tile{H: height, L: -1, N: first / width, W: width}
	if size-first < width {
		tile.W = int(size - first)
	}
	data, err := os.ReadFile(dir.path(tile))
	if err != nil {
		return nil, err
	}
	var found [][]byte
	for len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("%s ends inside an entry", dir.path(tile))
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		found, data = append(found, data[2:end]), data[end:]
	}
	if len(found) != tile.W {
		return nil, fmt.Errorf("%s has %d entries", dir.path(tile), len(found))
	}
	return found, nil
}

// open reads a checkpoint.
func open(data []byte, vkey string) (tlog.Tree, error) {
	var tree tlog.Tree
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return tree, errors.New("not the checkpoint of the key's log")
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || copy(tree.Hash[:], root) != tlog.HashSize {
		return tree, errors.New("not a root")
	}
	return tree, nil
}

// check compares every entry with the authenticated tiles and returns the tree grown from the entries alone.
func check(dir tiles, tree tlog.Tree, authentic tlog.HashReader) (tlog.HashReader, error) {
	var stored []tlog.Hash
	grown := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var hashes []tlog.Hash
		for _, index := range indexes {
			hashes = append(hashes, stored[index])
		}
		return hashes, nil
	})
	for first := int64(0); first < tree.N; first += width {
		entries, err := dir.entries(first, tree.N)
		if err != nil {
			return nil, err
		}
		var indexes []int64
		for i := range entries {
			indexes = append(indexes, tlog.StoredHashIndex(0, first+int64(i)))
		}
		leaves, err := authentic.ReadHashes(indexes)
		if err != nil {
			return nil, err
		}
		for i, entry := range entries {
			seq := first + int64(i)
			if tlog.RecordHash(entry) != leaves[i] {
				return nil, fmt.Errorf("entry %d is not its leaf", seq)
			}
			hashes, err := tlog.StoredHashesForRecordHash(seq, leaves[i], grown)
			if err != nil {
				return nil, err
			}
			stored = append(stored, hashes...)
		}
	}
	return grown, nil
}

// prove makes proofs from the tiles and checks them against roots of the tree grown from the entries.
func prove(tree tlog.Tree, authentic, grown tlog.HashReader) error {
	for size := int64(1); size <= tree.N; size = size*2 + 1 {
		older, err := tlog.TreeHash(size, grown)
		if err != nil {
			return err
		}
		consistency, err := tlog.ProveTree(tree.N, size, authentic)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(consistency, tree.N, tree.Hash, size, older); err != nil {
			return err
		}
		leaf, err := grown.ReadHashes([]int64{tlog.StoredHashIndex(0, size-1)})
		if err != nil {
			return err
		}
		inclusion, err := tlog.ProveRecord(tree.N, size-1, authentic)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(inclusion, tree.N, tree.Hash, size-1, leaf[0]); err != nil {
			return err
		}
	}
	return nil
}

// member checks a proof that a record is in the log.
func member(proof, record, vkey string) error {
	entry, err := os.ReadFile(record)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(proof)
	if err != nil {
		return err
	}
	head, checkpoint, found := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return errors.New("not a tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	var hashes tlog.RecordProof
	for _, line := range lines[2:] {
		var hash tlog.Hash
		decoded, err := base64.StdEncoding.DecodeString(line)
		if err != nil || copy(hash[:], decoded) != tlog.HashSize {
			return errors.New("not a hash")
		}
		hashes = append(hashes, hash)
	}
	tree, err := open([]byte(checkpoint), vkey)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(hashes, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		return err
	}
	fmt.Printf("%d %d\n", index, tree.N)
	return nil
}

func run(dir, vkey string) error {
	data, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := open(data, vkey)
	if err != nil {
		return err
	}
	root := tlog.Hash(sha256.Sum256(nil))
	if tree.N > 0 {
		authentic := tlog.TileHashReader(tree, tiles(dir))
		grown, err := check(tiles(dir), tree, authentic)
		if err != nil {
			return err
		}
		if err := prove(tree, authentic, grown); err != nil {
			return err
		}
		if root, err = tlog.TreeHash(tree.N, grown); err != nil {
			return err
		}
	}
	if root != tree.Hash {
		return errors.New("the entries have another root than the checkpoint")
	}
	fmt.Printf("%d %x\n", tree.N, root[:])
	return nil
}

func main() {
	var err error
	switch len(os.Args) {
	case 3:
		err = run(os.Args[1], os.Args[2])
	case 4:
		err = member(os.Args[1], os.Args[2], os.Args[3])
	default:
		fmt.Fprintln(os.Stderr, "usage: tlog DIR VKEY, or tlog PROOF RECORD VKEY")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
