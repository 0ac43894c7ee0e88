/* nearest.c - edit distance between names, as people mistype them.
 *
 * The distance is optimal string alignment (Damerau 1964, restricted): three rows of the usual
 * table, so that a swap of two neighbouring letters counts as one edit.
 */
#include "base/nearest.h"

static unsigned char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned char)(c - 'A' + 'a');
    return c == ' ' || c == '-' ? '_' : (unsigned char)c;
}

static int min3(int a, int b, int c)
{
    int least = a < b ? a : b;
    return least < c ? least : c;
}

static int edit_distance(struct str a, struct str b)
{
    int rows[3][NEAREST_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = (int)j;
    for (size_t i = 1; i <= a.len; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i + 2) % 3];
        const int *above2 = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned char x = fold(a.ptr[i - 1]), y = fold(b.ptr[j - 1]);
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y));
            bool is_swap = i > 1 && j > 1 && x == fold(b.ptr[j - 2]) && fold(a.ptr[i - 2]) == y;
            if (is_swap && above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    return rows[a.len % 3][b.len];
}

static struct str cut(struct str s)
{
    if (s.len > NEAREST_BYTES_MAX)
        s.len = NEAREST_BYTES_MAX;
    return s;
}

size_t nearest_name(struct str got, const char *const *names, size_t count)
{
    size_t best = count;
    size_t looked_at = count < NEAREST_NAMES_MAX ? count : NEAREST_NAMES_MAX;
    got = cut(got);
    int best_distance = got.len < 3 ? 1 : (int)(got.len / 3);
    for (size_t i = 0; i < looked_at; i++) {
        int distance = edit_distance(got, cut(str_of(names[i])));
        if (distance < best_distance || (distance == best_distance && best == count)) {
            best = i;
            best_distance = distance;
        }
    }
    return best;
}
