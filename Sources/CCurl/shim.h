/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl as 7.88 and later have it, opened by those who need it: with it come some thirty libraries, which a
   program that sends nothing would load at each start. Functions that take an option take any type behind it,
   which Swift can't call: here is one for each type that is used. */
#pragma once
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <stddef.h>

/* The functions of an opened library. */
struct sluice_curl {
    CURLcode (*global_init)(long flags);
    const char *(*easy_strerror)(CURLcode code);
    void *(*easy_init)(void);
    void (*easy_cleanup)(void *easy);
    CURLcode (*easy_setopt)(void *easy, CURLoption option, ...);
    CURLcode (*easy_getinfo)(void *easy, CURLINFO info, ...);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *line);
    void (*slist_free_all)(struct curl_slist *list);
    const char *(*multi_strerror)(CURLMcode code);
    void *(*multi_init)(void);
    CURLMcode (*multi_cleanup)(void *multi);
    CURLMcode (*multi_add_handle)(void *multi, void *easy);
    CURLMcode (*multi_remove_handle)(void *multi, void *easy);
    CURLMcode (*multi_perform)(void *multi, int *running);
    CURLMcode (*multi_poll)(
        void *multi, struct curl_waitfd *others, unsigned int count, int milliseconds, int *ready);
    CURLMsg *(*multi_info_read)(void *multi, int *left);
};

/* Opens the library; what was not found, or a null pointer. It stays open until the process ends. */
static inline const char *sluice_curl_open(struct sluice_curl *curl) {
    static const struct {
        const char *name;
        size_t place;
    } functions[] = {
        {"curl_global_init", offsetof(struct sluice_curl, global_init)},
        {"curl_easy_strerror", offsetof(struct sluice_curl, easy_strerror)},
        {"curl_easy_init", offsetof(struct sluice_curl, easy_init)},
        {"curl_easy_cleanup", offsetof(struct sluice_curl, easy_cleanup)},
        {"curl_easy_setopt", offsetof(struct sluice_curl, easy_setopt)},
        {"curl_easy_getinfo", offsetof(struct sluice_curl, easy_getinfo)},
        {"curl_slist_append", offsetof(struct sluice_curl, slist_append)},
        {"curl_slist_free_all", offsetof(struct sluice_curl, slist_free_all)},
        {"curl_multi_strerror", offsetof(struct sluice_curl, multi_strerror)},
        {"curl_multi_init", offsetof(struct sluice_curl, multi_init)},
        {"curl_multi_cleanup", offsetof(struct sluice_curl, multi_cleanup)},
        {"curl_multi_add_handle", offsetof(struct sluice_curl, multi_add_handle)},
        {"curl_multi_remove_handle", offsetof(struct sluice_curl, multi_remove_handle)},
        {"curl_multi_perform", offsetof(struct sluice_curl, multi_perform)},
        {"curl_multi_poll", offsetof(struct sluice_curl, multi_poll)},
        {"curl_multi_info_read", offsetof(struct sluice_curl, multi_info_read)},
    };
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) return "libcurl.so.4";
    for (size_t index = 0; index < sizeof functions / sizeof *functions; index++) {
        void *function = dlsym(library, functions[index].name);
        if (!function) return functions[index].name;
        *(void **)((char *)curl + functions[index].place) = function;
    }
    return NULL;
}

static inline CURLcode sluice_curl_set_number(
    const struct sluice_curl *curl, void *easy, CURLoption option, long value) {
    return curl->easy_setopt(easy, option, value);
}

static inline CURLcode sluice_curl_set_size(
    const struct sluice_curl *curl, void *easy, CURLoption option, curl_off_t value) {
    return curl->easy_setopt(easy, option, value);
}

static inline CURLcode sluice_curl_set_text(
    const struct sluice_curl *curl, void *easy, CURLoption option, const char *value) {
    return curl->easy_setopt(easy, option, value);
}

/* Has certificates be checked by the authorities of one file alone.
 *
 * A folder of authorities that libcurl was built with (CURLOPT_CAPATH) would be trusted beside the file, and what the file
 * held before would be kept for a day. A libcurl without such a memory (before 7.87) knows no option for it. */
static inline CURLcode sluice_curl_trust_only(
    const struct sluice_curl *curl, void *easy, const char *path) {
    CURLcode code = curl->easy_setopt(easy, CURLOPT_CAINFO, path);
    if (code == CURLE_OK) code = curl->easy_setopt(easy, CURLOPT_CAPATH, (const char *)NULL);
    if (code != CURLE_OK) return code;
    code = curl->easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    return code == CURLE_UNKNOWN_OPTION ? CURLE_OK : code;
}

static inline CURLcode sluice_curl_set_pointer(
    const struct sluice_curl *curl, void *easy, CURLoption option, const void *value) {
    return curl->easy_setopt(easy, option, value);
}

static inline CURLcode sluice_curl_set_writer(
    const struct sluice_curl *curl, void *easy, size_t (*writer)(char *, size_t, size_t, void *),
    void *context) {
    CURLcode code = curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, writer);
    return code != CURLE_OK ? code : curl->easy_setopt(easy, CURLOPT_WRITEDATA, context);
}

static inline CURLcode sluice_curl_set_header_reader(
    const struct sluice_curl *curl, void *easy, size_t (*reader)(char *, size_t, size_t, void *),
    void *context) {
    CURLcode code = curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, reader);
    return code != CURLE_OK ? code : curl->easy_setopt(easy, CURLOPT_HEADERDATA, context);
}

static inline CURLcode sluice_curl_number(
    const struct sluice_curl *curl, void *easy, CURLINFO info, long *value) {
    return curl->easy_getinfo(easy, info, value);
}

static inline CURLcode sluice_curl_size(
    const struct sluice_curl *curl, void *easy, CURLINFO info, curl_off_t *value) {
    return curl->easy_getinfo(easy, info, value);
}

/* What has come of the transfer of a multi handle; negative while it goes on. */
static inline int sluice_curl_result(const struct sluice_curl *curl, void *multi) {
    int left = 0;
    CURLMsg *message = curl->multi_info_read(multi, &left);
    return message && message->msg == CURLMSG_DONE ? (int)message->data.result : -1;
}
