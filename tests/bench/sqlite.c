/* The least that a look-up in keys.db costs: no configuration, no check of file, schema or key, no log.
 *
 *   sqlite KEYS_DB PRINCIPAL */
#include <stdio.h>

#include "sqlite3.h"

int main(int argc, char **argv)
{
    char uri[512];
    sqlite3 *db;
    sqlite3_stmt *query;

    if (argc != 3)
        return 64;
    snprintf(uri, sizeof uri, "file:%s?immutable=1", argv[1]);
    if (sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT line FROM public_key WHERE principal = ?1", -1, &query, NULL) != SQLITE_OK)
        return 2;
    sqlite3_bind_text(query, 1, argv[2], -1, SQLITE_STATIC);
    while (sqlite3_step(query) == SQLITE_ROW)
        printf("%s %s\n", sqlite3_column_text(query, 0), argv[2]);
    sqlite3_finalize(query);
    sqlite3_close(db);
    return fflush(stdout) != 0;
}
